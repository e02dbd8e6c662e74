/** How long requests waited before they were sent, in buckets as Prometheus counts them: each of a bound, and those above all of them. */

export const WAIT_BOUNDS_MS = [1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000] as const

export class WaitTally {
  /** One more than there are bounds. */
  readonly counts: number[] = new Array(WAIT_BOUNDS_MS.length + 1).fill(0)
  sumMs = 0

  add(waitedMs: number): void {
    let at = 0
    while (at < WAIT_BOUNDS_MS.length && waitedMs > (WAIT_BOUNDS_MS[at] as number)) at++
    this.counts[at] = (this.counts[at] as number) + 1
    this.sumMs += waitedMs
  }
}
