/**
 * Which request of a client's stream may answer now. Triton answers the requests of one stream in their order, whatever their models, unless a model is
 * decoupled: its answers pass all others as they come. A request whose model is not known yet waits like one in order, which is right either way.
 */

export type AnswerKind = 'asking' | 'in-order' | 'decoupled'

/** One request's place. */
export type Turn = { readonly id: string; kind: AnswerKind }

export class AnswerOrder {
  readonly #queue: Turn[] = []

  /** The latest request. */
  join(turn: Turn): void {
    if (turn.kind !== 'decoupled') this.#queue.push(turn)
  }

  mayAnswer(turn: Turn): boolean {
    return turn.kind === 'decoupled' || this.#queue[0] === turn
  }

  learn(turn: Turn, kind: AnswerKind): void {
    turn.kind = kind
    if (kind === 'decoupled') this.leave(turn)
  }

  /** Its answers are over: whoever waited behind it moves up. */
  leave(turn: Turn): void {
    const at = this.#queue.indexOf(turn)
    if (at >= 0) this.#queue.splice(at, 1)
  }
}
