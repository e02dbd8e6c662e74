/**
 * The proxy's own services: opens their calls, bounds how many there are, holds them to their deadlines, and counts them as the requests they are.
 */
import { limits } from '../../core/limits.ts'
import { REFUSALS, type Reason } from '../../core/mesh-error.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { Timer, TimerWheel } from '../admission/timer-wheel.ts'
import type { OwnMethod } from '../grpc/methods.ts'
import { trailersOnly } from '../grpc/status.ts'
import type { Stream } from '../http2/stream.ts'
import { type LocalHandler, LocalStream, type LocalStreamOwner } from './local-stream.ts'

/** Of the counts that all requests share, those that these have. */
export type OwnTally = {
  requests: number
  open: number
  messagesOut: number
  firstMessageTimeouts: number
  byStatus: number[]
  refusals: Partial<Record<Reason, number>>
}

export type OwnServicesPorts = {
  now(): Millis
  readonly wheel: TimerWheel
  readonly tally: OwnTally
  readonly callsMax: number
  readonly handlers: Readonly<Record<OwnMethod, LocalHandler>>
}

type Open = { readonly deadline: Millis | undefined; timer: Timer | undefined }

export class OwnServices implements LocalStreamOwner {
  readonly #ports: OwnServicesPorts
  readonly #open = new Map<LocalStream, Open>()

  constructor(ports: OwnServicesPorts) {
    this.#ports = ports
  }

  get open(): number {
    return this.#open.size
  }

  accept(stream: Stream, method: OwnMethod, timeout: Millis | undefined): undefined {
    const { now, tally, handlers, callsMax } = this.#ports
    if (this.#open.size >= callsMax) {
      this.onRefused('own-calls-full')
      stream.sendHead(trailersOnly(REFUSALS['own-calls-full'].grpc, `${callsMax} calls of this kind are open`), true)
      return
    }
    tally.requests++
    tally.open++
    const call = new LocalStream(stream, handlers[method], this)
    this.#open.set(call, { deadline: timeout === undefined ? undefined : millis(now() + timeout), timer: undefined })
    this.#arm(call)
    call.start()
  }

  onMessage(of: LocalStream): void {
    this.#arm(of)
  }

  onRefused(reason: Reason): void {
    const { refusals } = this.#ports.tally
    refusals[reason] = (refusals[reason] ?? 0) + 1
  }

  onDone(of: LocalStream, status: number): void {
    const { tally, wheel } = this.#ports
    const timer = this.#open.get(of)?.timer
    if (timer !== undefined) wheel.cancel(timer)
    this.#open.delete(of)
    tally.open--
    tally.messagesOut += of.messagesOut
    tally.byStatus[status] = (tally.byStatus[status] ?? 0) + 1
  }

  /** One timer for each call: its deadline, or the time that a client has for its next message, whichever is first. */
  #arm(of: LocalStream): void {
    const { now, wheel } = this.#ports
    const open = this.#open.get(of)
    if (open === undefined) return
    if (open.timer !== undefined) wheel.cancel(open.timer)
    open.timer = undefined
    const patience = millis(now() + limits.firstMessageTimeout)
    const due = of.awaitsMessage ? millis(Math.min(open.deadline ?? patience, patience)) : open.deadline
    if (due === undefined) return
    const late = due === open.deadline
    open.timer = wheel.schedule(due, () => {
      if (late) of.refuse('deadline', 'the deadline passed')
      else {
        this.#ports.tally.firstMessageTimeouts++
        of.refuse('first-message-timeout', `no whole message within ${limits.firstMessageTimeout} ms`)
      }
    })
  }
}
