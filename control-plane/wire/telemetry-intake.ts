/**
 * Takes telemetry off the bus. Few reports of a node wait, so that a control plane that falls behind does not grow: heartbeats go first, then what changed,
 * a full report last; of the same kind the oldest. A turn of the event loop folds for a few milliseconds, for longer when the others are long, and what speaks of trouble overtakes
 * all that waits, with the reports of its node before it.
 */
import { limits } from '../../core/limits.ts'
import { type HeardReport, isMalformed, MALFORMED, type Malformed, parseReport } from '../fleet/parse-report.ts'
import { leastWorth, speaksOfTrouble } from './report-worth.ts'

export type IntakeDrop = Malformed['malformed'] | 'waited-too-long' | 'too-many-nodes'

export type IntakePorts = {
  onReport(report: HeardReport): void
  /** Said for each; whoever logs it limits itself. */
  onMalformed(node: string, malformed: Malformed): void
}

const TURN_MS = 5
/** Whatever else goes on, of the time so much is for folding what waits; but not in so long a turn that nobody else is heard. */
const SHARE = 1 / 3
const LONG_TURN_MS = 100
/** The clock costs about as much as a heartbeat: it is asked after so many bytes. */
const LOOK_AFTER_BYTES = 16 * 1024
/** Fewer are folded in this turn: to look for trouble among them would cost more than to get to it. */
const OVERTAKES_FROM = 256

export class TelemetryIntake {
  readonly drops: Record<IntakeDrop, number>
  readonly #ports: IntakePorts
  readonly #waiting = new Map<string, Uint8Array[]>()
  /** Of those that wait, the ones to be folded first. */
  readonly #troubled = new Set<string>()
  #draining = false
  #turnEndedAt = 0

  constructor(ports: IntakePorts) {
    this.#ports = ports
    const none = Object.fromEntries(MALFORMED.map((reason) => [reason, 0])) as Record<Malformed['malformed'], number>
    this.drops = { ...none, 'waited-too-long': 0, 'too-many-nodes': 0 }
  }

  take(message: Uint8Array, subject: string): void {
    const node = subject.slice(subject.lastIndexOf('.') + 1)
    const queue = this.#waiting.get(node)
    if (queue === undefined) {
      if (this.#waiting.size >= limits.nodesMax) {
        this.drops['too-many-nodes']++
        return
      }
      this.#waiting.set(node, [message])
    } else {
      queue.push(message)
      if (queue.length > limits.waitingReportsMax) {
        queue.splice(leastWorth(queue), 1)
        this.drops['waited-too-long']++
      }
    }
    if (this.#waiting.size > OVERTAKES_FROM && speaksOfTrouble(message)) this.#troubled.add(node)
    if (this.#draining) return
    this.#draining = true
    this.#turnEndedAt = performance.now()
    setImmediate(() => this.#drain())
  }

  #drain(): void {
    const began = performance.now()
    const elsewhere = began - this.#turnEndedAt
    const until = began + Math.min(Math.max(TURN_MS, (elsewhere * SHARE) / (1 - SHARE)), LONG_TURN_MS)
    let taken = 0
    for (const [node, queue] of this.#inTurn()) {
      this.#waiting.delete(node)
      for (const message of queue) {
        taken += message.length
        this.#parse(message, node)
      }
      if (taken < LOOK_AFTER_BYTES) continue
      if (performance.now() >= until) break
      taken = 0
    }
    this.#turnEndedAt = performance.now()
    this.#draining = this.#waiting.size > 0
    if (this.#draining) setImmediate(() => this.#drain())
  }

  *#inTurn(): Generator<readonly [node: string, queue: readonly Uint8Array[]]> {
    for (const node of this.#troubled) {
      this.#troubled.delete(node)
      const queue = this.#waiting.get(node)
      if (queue !== undefined) yield [node, queue]
    }
    yield* this.#waiting
  }

  #parse(message: Uint8Array, node: string): void {
    const result = parseReport(message, node)
    if (!isMalformed(result)) {
      this.#ports.onReport(result)
      return
    }
    this.drops[result.malformed]++
    this.#ports.onMalformed(node, result)
  }
}
