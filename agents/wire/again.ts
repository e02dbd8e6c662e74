/**
 * Asks again and again, never two questions at once, each so long after the last one as that one's answer said or at the next report's time, or sooner when
 * there is news.
 */
import type { Clock } from '../../core/clock.ts'
import type { Millis } from '../../core/units.ts'
import type { Beat } from './beat.ts'

export type Asking = {
  /** News: it is asked now, or right after the question under way; never sooner than the gap after the last one began. */
  soon(): void
  /** Resolves when the question under way has ended. */
  stop(): Promise<void>
}

export type Rhythm = { readonly clock: Clock; readonly beat: Beat; readonly gapMin: Millis }

/** `ask` answers after how long it is to be asked again. */
export function askAgain({ clock, beat, gapMin }: Rhythm, ask: () => Promise<Millis | 'next-report'>): Asking {
  let under: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let began = clock.now()
  let hurried = false
  let awaitsBeat = false
  let stopped = false
  const plan = (pause: number | 'next-report'): void => {
    clearTimeout(timer)
    awaitsBeat = pause === 'next-report'
    if (!stopped && pause !== 'next-report') timer = setTimeout(turn, pause)
  }
  const sooner = (): number => Math.max(0, began + gapMin - clock.now())
  const turn = (): void => {
    began = clock.now()
    hurried = false
    awaitsBeat = false
    under = ask().then((pause) => {
      under = undefined
      plan(hurried ? sooner() : pause)
    })
  }
  turn()
  const leave = beat.atReports(() => awaitsBeat && turn())
  return {
    soon() {
      if (under === undefined) plan(sooner())
      else hurried = true
    },
    async stop() {
      stopped = true
      leave()
      clearTimeout(timer)
      await under
    },
  }
}
