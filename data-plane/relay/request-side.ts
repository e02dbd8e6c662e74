/**
 * The request on its way up: from its head, by way of what must be known before anybody is asked, to the endpoint of the current attempt. The base of
 * an exchange, whose own part is the attempts and the answer: each DATA frame passes here, and one object more would be one look more.
 * Invariants: what is kept is all that has come, or nothing; the client gets credit for each byte once, however often it is sent.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { Pass } from '../admission/pass.ts'
import type { Timer } from '../admission/timer-wheel.ts'
import { MessageRenamer } from '../grpc/rename-message.ts'
import type { RequestHead } from '../grpc/request-head.ts'
import type { RequestScanner } from '../grpc/request-scanner.ts'
import { GRPC, trailersOnly } from '../grpc/status.ts'
import type { HeaderField } from '../http2/header-field.ts'
import type { Stream } from '../http2/stream.ts'
import type { Aim } from '../routing/aim.ts'
import { stepBeforeDispatch } from './before-dispatch.ts'
import type { Downstream } from './downstream.ts'
import type { Exchange } from './exchange.ts'
import type { RequestOwner } from './exchange-owner.ts'
import type { RequestMethod } from './identify.ts'
import { KeptRequest } from './kept-request.ts'

export abstract class RequestSide {
  /** The client's stream, or a lane of one that carries further requests. */
  down: Downstream
  readonly head: RequestHead
  readonly method: RequestMethod
  readonly arrivedAt: Millis
  readonly deadline: Millis | undefined
  readonly scanner: RequestScanner | undefined
  timer: Timer | undefined
  /** Where its model limits how many run at once. */
  pass: Pass<Exchange> | undefined
  /** Where it goes, where rows say something of its model. */
  aim: Aim | undefined
  /** Changes whenever bytes move in either direction. */
  activity = 0
  over = false
  protected abstract readonly owner: RequestOwner<this>
  /** Of the current attempt. */
  protected up: Stream | undefined
  /** It cannot be sent a second time. */
  protected committed = false
  /** Of the current attempt, where its server knows the model by another name. */
  #renamer: MessageRenamer | undefined
  #kept: KeptRequest | undefined
  #dispatched = false
  #requestEnded = false
  #laned = false
  #received = 0
  #sentUp = 0
  #credited = 0

  constructor(
    down: Downstream,
    head: RequestHead,
    method: RequestMethod,
    times: { readonly now: Millis; readonly deadline: Millis | undefined },
    scanner: RequestScanner | undefined,
  ) {
    this.down = down
    this.head = head
    this.method = method
    this.arrivedAt = times.now
    this.deadline = times.deadline
    this.scanner = scanner
    this.#requestEnded = down.remoteEnded
  }

  /** Hands a whole answer on as it is. */
  abstract answerWhole(fields: readonly HeaderField[], outcome: 'success'): void

  /** Bytes of the request. */
  get received(): number {
    return this.#received
  }

  get requestEnded(): boolean {
    return this.#requestEnded
  }

  /** The request's message, whole, while all of it is still here. */
  get wholeMessage(): KeptRequest | undefined {
    return this.scanner?.whole === true && !this.committed ? this.#kept : undefined
  }

  /** Of a request that can be sent again: it is its head alone. */
  protected get isHeadAlone(): boolean {
    return this.#requestEnded && this.#kept === undefined
  }

  // ——— until it is known where to ———

  /** Opens upstream at once: the request does not depend on its first message. */
  dispatchNow(): void {
    this.#dispatched = true
    this.owner.onRoutable(this)
  }

  /** From now on the request is one of several of its client's stream: whoever carries them scans its message and hands it the bytes. */
  enterLane(lane: Downstream): void {
    this.down = lane
    this.#laned = true
    this.#dispatched = true
  }

  /** No byte of the request will follow. */
  endRequest(): void {
    if (!this.#requestEnded) this.fromClient(NOTHING, 0, 0, true)
  }

  /** On the client's own stream. */
  protected onRequestBytes(stream: Stream, source: Uint8Array, start: number, end: number, ends: boolean): void {
    if (this.over) return
    const { scanner } = this
    if (scanner === undefined) return this.fromClient(source, start, end, ends)
    const stop = scanner.feed(source, start, end)
    if (scanner.refusal !== undefined) {
      this.owner.onRefused(this, scanner.refusal)
      if (this.#laned) this.down.returnCredit(stop - start, true)
    } else if (ends && scanner.torn)
      this.owner.onRefused(this, { reason: 'illegal-message', detail: 'the request ended in the middle of a message' })
    else this.fromClient(source, start, stop, ends && stop === end)
    if (stop < end && !this.over && !this.#laned) this.owner.onFurther(this, stream)
    if (this.#laned) stream.sink?.onData(stream, source, stop, end, ends)
  }

  /** Bytes that have been looked at: they go on, or are kept until it is known where to. */
  fromClient(source: Uint8Array, start: number, end: number, ends: boolean): void {
    if (this.over) {
      if (this.#laned) this.down.returnCredit(end - start, true)
      return
    }
    this.#received += end - start
    if (ends) this.#requestEnded = true
    const { up } = this
    if (up !== undefined) {
      if (!this.committed) this.#keep(source, start, end)
      return this.#sendUp(up, source, start, end, ends)
    }
    this.#keep(source, start, end)
    if (this.#dispatched) return
    const step = stepBeforeDispatch(this, this.#kept?.length ?? 0, ends)
    if (step === 'dispatch') this.dispatchNow()
    else if (step === 'nothing-asked') this.answerWhole(trailersOnly(GRPC.OK, ''), 'success')
    else if (step === 'whole') {
      this.#dispatched = true
      this.owner.onLocal(this, this.#kept?.whole() ?? NOTHING)
    } else if (step !== 'wait') this.owner.onRefused(this, step)
  }

  // ——— to endpoints ———

  /** A further attempt gets everything that has come so far, and then what comes. */
  protected sendFromStart(up: Stream): void {
    const kept = this.#kept
    const length = kept === undefined ? 0 : kept.length
    this.up = up
    this.#sentUp = 0
    this.#renamer = this.#newRenamer()
    let given = 0
    kept?.forEach((chunk, start, end) => {
      given += end - start
      this.#sendUp(up, chunk, start, end, this.#requestEnded && given === length)
    })
    if (length > limits.retryCopyMax) this.commit()
  }

  /** All of a whole request goes to one more endpoint, beside the current attempt; answers how many bytes left at once, as the client counts them. */
  protected sendBeside(up: Stream): number {
    if (this.#kept === undefined) return 0
    const renamer = this.#newRenamer()
    const left = this.#kept.sendTo(up, renamer)
    return left - (renamer?.grown ?? 0)
  }

  /** The endpoint beside goes on as the only one, with so many of the client's bytes that have left towards it. */
  protected goOnWith(up: Stream, sent: number): void {
    this.up = up
    this.#sentUp = sent
    this.#renamer = undefined
  }

  /** From here on the request cannot be sent a second time. */
  protected commit(): void {
    this.committed = true
    this.#kept?.free()
    this.#kept = undefined
  }

  /** Bytes left towards the endpoint. */
  protected leftUp(count: number, atOnce: boolean): void {
    this.#sentUp += count
    const due = this.#sentUp - (this.#renamer?.grown ?? 0) - this.#credited
    if (due <= 0) return
    this.#credited += due
    this.down.returnCredit(due, atOnce)
  }

  /** Nobody will send any of it any more. */
  protected letGo(): void {
    this.commit()
    // The client's stream goes on: what nobody will send must not narrow its window.
    if (this.#laned) this.down.returnCredit(this.#received - this.#credited, true)
  }

  #newRenamer(): MessageRenamer | undefined {
    return this.aim?.renames ? new MessageRenamer(this.aim.target, this.head.encoding, this.owner.openInflater) : undefined
  }

  #keep(source: Uint8Array, start: number, end: number): void {
    if (end === start) return
    this.#kept ??= new KeptRequest(this.owner.retryCopies)
    if (!this.#kept.keep(source, start, end, this.up !== undefined)) this.commit()
  }

  #sendUp(up: Stream, source: Uint8Array, start: number, end: number, ends: boolean): void {
    if (this.aim?.shadow !== undefined && this.wholeMessage !== undefined) this.owner.onWhole(this)
    const renamer = this.#renamer
    const left = renamer === undefined ? up.sendData(source, start, end, ends) : renamer.pass(up, source, start, end, ends)
    if (renamer?.refusal === undefined) this.leftUp(left, true)
    else if (!this.over) this.owner.onRefused(this, renamer.refusal)
  }
}

const NOTHING = new Uint8Array(0)
