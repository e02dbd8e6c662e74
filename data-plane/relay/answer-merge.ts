/**
 * Writes the answers of several lanes into one client's stream: whole messages, each lane when its turn has come, in rotation where several may.
 * Invariants: nothing is written into the middle of a begun message; nothing is written while earlier bytes wait for the client's credit, so what
 * waits here waits in the lanes, where it earns no server credit; the stream ends once.
 */
import { GRPC, responseHead, trailers, trailersOnly } from '../grpc/status.ts'
import { type HeaderField, headerField } from '../http2/header-field.ts'
import { ERROR } from '../http2/protocol.ts'
import type { Stream } from '../http2/stream.ts'
import { type AnswerLane, encodingOf, type LaneHost } from './answer-lane.ts'
import type { AnswerKind, AnswerOrder } from './answer-order.ts'

export type MergeOwner = {
  /** All that the lane had to say has been said. */
  onLaneDone(lane: AnswerLane): void
  /** The stream has ended, by an error or because it cannot go on; every request that is left is to be called off. */
  onStreamEnded(open: readonly AnswerLane[], status: number): void
  countHeld(change: number): void
  readonly errorsEndStream: boolean
}

export class AnswerMerge implements LaneHost {
  readonly lanes = new Set<AnswerLane>()
  over = false
  headSent = false
  encodingSent: string | undefined
  readonly #down: Stream
  readonly #order: AnswerOrder
  readonly #owner: MergeOwner
  /** An answer that is still to come was asked for with this encoding; a head that goes out before it must announce it. */
  readonly #encodingAsked: string | undefined
  #writer: AnswerLane | undefined
  /** Whose bytes wait for the client's credit. */
  #waiting: AnswerLane | undefined
  #pumping = false

  constructor(down: Stream, order: AnswerOrder, owner: MergeOwner, encodingAsked: string | undefined) {
    this.#down = down
    this.#order = order
    this.#owner = owner
    this.#encodingAsked = encodingAsked
  }

  get errorsEndStream(): boolean {
    return this.#owner.errorsEndStream
  }

  /** The lane of the request that had the stream to itself until now. */
  adopt(lane: AnswerLane, headSent: boolean): void {
    this.add(lane)
    this.headSent = headSent
    if (lane.begun) this.#writer = lane
    if (this.#down.waitingBytes > 0) this.#waiting = lane
  }

  add(lane: AnswerLane): void {
    this.lanes.add(lane)
    for (const turn of lane.turns) this.#order.join(turn)
  }

  learn(lane: AnswerLane, kind: AnswerKind): void {
    for (const turn of lane.turns) this.#order.learn(turn, kind)
    if (lane.shared && kind === 'in-order') for (; lane.unsettled > 0; lane.unsettled--) this.#answered(lane)
    this.pump()
  }

  /** Ends the stream; what is held is dropped. */
  end(status: number, detail: string): void {
    if (this.over) return
    this.over = true
    if (this.#writer !== undefined) this.#down.reset(ERROR.INTERNAL_ERROR)
    else if (this.headSent) this.#down.sendTrailers(trailers(status, detail))
    else this.#down.sendHead(trailersOnly(status, detail), true)
    this.#owner.onStreamEnded(this.abandon(), status)
  }

  /** The client is gone, or has been told: nothing is written any more. Answers the lanes that were open. */
  abandon(): readonly AnswerLane[] {
    this.over = true
    const open = [...this.lanes]
    for (const lane of open) lane.drop()
    this.lanes.clear()
    return open
  }

  // ——— of lanes ———

  onReady(_lane: AnswerLane): void {
    this.pump()
  }

  onTorn(): void {
    this.end(GRPC.INTERNAL, '')
  }

  passOn(lane: AnswerLane, source: Uint8Array, start: number, end: number): boolean {
    if (this.over || this.#pumping || this.#writer !== undefined || this.#down.waitingBytes > 0 || !this.#mayWrite(lane)) return false
    this.#sendHead(lane)
    this.#send(lane, source, start, end)
    return true
  }

  returnCredit(count: number): void {
    this.#down.returnCredit(count, false)
  }

  countHeld(change: number): void {
    this.#owner.countHeld(change)
  }

  // ——— of the client's stream ———

  onSent(count: number): void {
    this.#waiting?.exchange?.onDownSent(count)
    if (this.#down.waitingBytes === 0) this.pump()
  }

  pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    while (!this.over && this.#down.waitingBytes === 0) {
      const lane = this.#writer ?? this.#next()
      if (lane === undefined) break
      if (lane.writable > 0) this.#write(lane)
      else if (this.#writer !== undefined) break
      else this.#close(lane)
    }
    this.#pumping = false
  }

  #next(): AnswerLane | undefined {
    for (const lane of this.lanes) if ((lane.writable > 0 || (lane.ended && lane.isEmpty)) && this.#mayWrite(lane)) return lane
    return undefined
  }

  #mayWrite(lane: AnswerLane): boolean {
    const turn = lane.turns[0]
    return turn === undefined || this.#order.mayAnswer(turn)
  }

  #write(lane: AnswerLane): void {
    this.#sendHead(lane)
    const whole = lane.write((source, start, end) => this.#send(lane, source, start, end))
    this.#writer = whole ? undefined : lane
    if (!whole) return
    if (lane.shared) this.#settleTurn(lane)
    // Behind the others: each gets its message.
    this.lanes.delete(lane)
    this.lanes.add(lane)
  }

  /** Each message of a sequence answers one request, unless its model is decoupled. */
  #settleTurn(lane: AnswerLane): void {
    const kind = lane.turns[0]?.kind
    if (kind === 'in-order') this.#answered(lane)
    else if (kind === 'asking') lane.unsettled++
  }

  #answered(lane: AnswerLane): void {
    const turn = lane.turns.shift()
    if (turn !== undefined) this.#order.leave(turn)
  }

  #close(lane: AnswerLane): void {
    if (lane.fatal !== undefined) return this.end(lane.fatal.status, lane.fatal.detail)
    while (lane.turns.length > 0) this.#answered(lane)
    lane.drop()
    this.lanes.delete(lane)
    this.#owner.onLaneDone(lane)
  }

  #send(lane: AnswerLane, source: Uint8Array, start: number, end: number): void {
    const sent = this.#down.sendData(source, start, end, false)
    if (sent < end - start) this.#waiting = lane
    if (sent > 0) lane.exchange?.onDownSent(sent)
  }

  #sendHead(lane: AnswerLane): void {
    if (this.headSent) return
    this.headSent = true
    const fields: readonly HeaderField[] = lane.head ?? responseHead()
    const announced = encodingOf(fields)
    const asked = this.#encodingAsked
    this.encodingSent = announced === 'identity' ? asked : announced
    this.#down.sendHead(announced === 'identity' && asked !== undefined ? [...fields, headerField('grpc-encoding', asked)] : fields, false)
  }
}
