/** What one worker saw of one endpoint within a window, for one model: sums, so that an answer costs a few additions. */

export class Evidence {
  successes = 0
  failures = 0
  backpressures = 0
  /** Answers that began, and the time that this took them in all, in ms. */
  firstBytes = 0
  firstByteSum = 0

  add(outcome: 'success' | 'failure' | 'backpressure'): void {
    if (outcome === 'success') this.successes++
    else if (outcome === 'failure') this.failures++
    else this.backpressures++
  }

  get attempts(): number {
    return this.successes + this.failures
  }

  get successRate(): number {
    return this.successes / this.attempts
  }

  get firstByteMean(): number {
    return this.firstByteSum / this.firstBytes
  }

  beganAfter(ms: number): void {
    this.firstBytes++
    this.firstByteSum += ms
  }

  /** It was called off after so long without a byte. That it would have taken longer still is news only where it is not less than what is usual. */
  silentFor(ms: number): void {
    if (this.firstBytes === 0 || ms >= this.firstByteMean) this.beganAfter(ms)
  }
}
