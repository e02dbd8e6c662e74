/**
 * What an agent does again and again it does at the same moments: a host that computes something else is disturbed once for all of it, and each disturbance
 * costs more than what is done in it. Invariant: at a report's time what asks comes before what looks.
 */
import { limits } from '../../core/limits.ts'

export type Beat = {
  /** At every sample's time. Returns its stop. */
  atSamples(turn: () => void): () => void
  /** At every report's time. Returns its stop. */
  atReports(turn: () => void): () => void
  stop(): void
}

const SAMPLES_PER_REPORT = limits.reportPeriod / limits.samplePeriod

export function startBeat(): Beat {
  const [samples, reports] = [new Set<() => void>(), new Set<() => void>()]
  const joined = (all: Set<() => void>) => (turn: () => void) => {
    // Two may join with one function.
    const own = (): void => turn()
    all.add(own)
    return () => void all.delete(own)
  }
  let beats = 0
  const timer = setInterval(() => {
    if (++beats % SAMPLES_PER_REPORT === 0) for (const turn of reports) turn()
    for (const turn of samples) turn()
  }, limits.samplePeriod)
  return { atSamples: joined(samples), atReports: joined(reports), stop: () => clearInterval(timer) }
}

export type Looks = {
  /** Servers are being asked. */
  readonly reading: () => boolean
  readonly due: () => boolean
  readonly look: () => void
}

/** What was just asked is news in a moment, and whoever hears it looks; a server that hangs is waited for once. Returns its stop. */
export function lookWhenDue(beat: Beat, { reading, due, look }: Looks): () => void {
  let waited = false
  return beat.atSamples(() => {
    waited = !waited && reading()
    if (!waited && due()) look()
  })
}
