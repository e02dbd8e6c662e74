/** How old the loads were by which endpoints were chosen, in buckets as Prometheus counts them. Cheap enough to count every choice. */
import type { Millis } from '../../core/units.ts'

export const AGE_BOUNDS_MS = [50, 100, 250, 500, 1_000, 2_000, 5_000, 10_000] as const

export class SignalAges {
  /** One more than there are bounds. */
  readonly counts = new Float64Array(AGE_BOUNDS_MS.length + 1)
  sumMs = 0
  /** Endpoints of whose load nothing was known. */
  unknown = 0

  note(age: Millis | undefined): void {
    if (age === undefined) {
      this.unknown++
      return
    }
    let at = 0
    while (at < AGE_BOUNDS_MS.length && age > (AGE_BOUNDS_MS[at] as number)) at++
    this.counts[at] = (this.counts[at] as number) + 1
    this.sumMs += age
  }
}
