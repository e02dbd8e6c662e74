/** What one request is to the queue: whose it is, what it asks for, and until when. It waits at most once, and what it was charged is corrected at its end. */
import type { Millis } from '../../core/units.ts'
import type { Tenant } from './fair-band.ts'
import type { Gate } from './gate.ts'
import { NOWHERE, type Placed } from './placed-heap.ts'
import type { Timer } from './timer-wheel.ts'

export type Pass<Holder> = Placed & {
  readonly holder: Holder
  readonly gate: Gate<Holder>
  /** 0 is the highest. */
  readonly band: number
  readonly tenant: Tenant<Holder>
  readonly arrivedAt: Millis
  readonly deadline: Millis | undefined
  /** When it leaves the queue at the latest: its deadline, or the longest wait. */
  readonly due: Millis
  /** Of what had come of it: known work, and all that it is expected to be. */
  readonly knownWork: number
  readonly work: number
  /** That it holds while it waits. */
  readonly bytes: number
  /** Of arrival. */
  readonly order: number
  /** Its tenant pays for it: it was let through. */
  charged: boolean
  timer: Timer | undefined
  /** Told once when it waits no more, whatever came of it. */
  onOver: (() => void) | undefined
}

export const waits = ({ place }: Placed): boolean => place !== NOWHERE

/**
 * Work is counted in answer messages: a token of a stream is one. A token of a prompt, about four bytes, costs about a quarter of one that is generated,
 * as those who sell them price them.
 */
const BYTES_PER_MESSAGE = 16

export const workOf = (requestBytes: number, answerMessages: number): number => requestBytes / BYTES_PER_MESSAGE + answerMessages
