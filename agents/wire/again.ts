/** Asks again and again, never two questions at once, each so long after the last one as that one's answer said, or sooner when there is news. */
import type { Clock } from '../../core/clock.ts'
import type { Millis } from '../../core/units.ts'

export type Asking = {
  /** News: it is asked now, or right after the question under way; never sooner than the gap after the last one began. */
  soon(): void
  /** Resolves when the question under way has ended. */
  stop(): Promise<void>
}

/** `ask` answers after how long it is to be asked again. */
export function askAgain(clock: Clock, gapMin: Millis, ask: () => Promise<Millis>): Asking {
  let under: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let began = clock.now()
  let hurried = false
  let stopped = false
  const plan = (pause: number): void => {
    clearTimeout(timer)
    if (!stopped) timer = setTimeout(turn, pause)
  }
  const sooner = (): number => Math.max(0, began + gapMin - clock.now())
  const turn = (): void => {
    began = clock.now()
    hurried = false
    under = ask().then((pause) => {
      under = undefined
      plan(hurried ? sooner() : pause)
    })
  }
  turn()
  return {
    soon() {
      if (under === undefined) plan(sooner())
      else hurried = true
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      await under
    },
  }
}
