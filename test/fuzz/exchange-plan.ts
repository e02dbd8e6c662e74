/** What one request and its answer consist of; both ends read the same plan, so each knows what the other will send. */
import type { Draw } from './draw.ts'
import { NOISE, SentLog } from './sent-log.ts'
import { must } from './target.ts'

export type Head = Readonly<Record<string, string>>

export type Part = {
  readonly head: Head
  readonly pieces: readonly Uint8Array[]
  /** Empty: there are none, and the last piece carries the end. */
  readonly trailers: Head
}

/** Message by message, each end holds what came against the plan. */
export class Arrivals {
  readonly #part: Part
  readonly #log: SentLog
  readonly #what: string
  #head = false
  #trailers = false
  ended = false

  constructor(part: Part, what: string) {
    this.#part = part
    this.#what = what
    this.#log = new SentLog(what)
    for (const piece of part.pieces) this.#log.sent(piece)
  }

  get received(): number {
    return this.#log.received
  }

  head(head: Head): void {
    must(!this.#head, `${this.#what}: two heads`)
    this.#head = true
    mustEqual(head, this.#part.head, `${this.#what}: head`)
  }

  data(source: Uint8Array, start: number, end: number): void {
    must(this.#head && !this.ended, `${this.#what}: bytes where none can be`)
    this.#log.receive(source, start, end)
  }

  trailers(trailers: Head): void {
    this.#trailers = true
    mustEqual(trailers, this.#part.trailers, `${this.#what}: trailers`)
  }

  end(): void {
    must(!this.ended && this.#head, `${this.#what}: ends twice, or before it began`)
    must(this.#log.left === 0, `${this.#what}: ends ${this.#log.left} bytes early`)
    must(this.#trailers === Object.keys(this.#part.trailers).length > 0, `${this.#what}: ends without its trailers`)
    this.ended = true
  }
}

function mustEqual(got: Head, wanted: Head, what: string): void {
  const lines = (head: Head): string =>
    Object.entries(head)
      .map(([name, value]) => `${name}: ${value}`)
      .sort()
      .join('\n')
  must(lines(got) === lines(wanted), `${what} is ${JSON.stringify(got)}, was ${JSON.stringify(wanted)}`)
}

export class Plan {
  readonly request: Part
  readonly answer: Part
  /** Pieces of the answer that come before the request has ended. */
  readonly early: number
  readonly requestArrives: Arrivals
  readonly answerArrives: Arrivals

  constructor(id: number, draw: Draw) {
    const base = { ':method': 'POST', ':scheme': 'http', ':path': `/plan/${id}`, ':authority': 'fuzz' }
    this.request = part({ ...base, 'x-plan': String(id) }, draw)
    this.answer = part({ ':status': draw.pick(['200', '204', '404']) === '404' ? '404' : '200' }, draw)
    this.early = draw.oneIn(2) ? 0 : draw.below(this.answer.pieces.length + 1)
    this.requestArrives = new Arrivals(this.request, `request ${id}`)
    this.answerArrives = new Arrivals(this.answer, `answer ${id}`)
  }

  /** Bytes of it that came, at either end. */
  get received(): number {
    return this.requestArrives.received + this.answerArrives.received
  }

  get done(): boolean {
    return this.requestArrives.ended && this.answerArrives.ended
  }
}

function part(base: Head, draw: Draw): Part {
  const pieces = Array.from({ length: draw.below(6) }, () => {
    const length = draw.size(draw.oneIn(6) ? 300_000 : 30_000)
    const from = draw.below(NOISE.length - length)
    return NOISE.subarray(from, from + length)
  })
  return { head: { ...base, ...fields(draw) }, pieces, trailers: draw.oneIn(2) ? fields(draw, 1) : {} }
}

const fields = (draw: Draw, least = 0): Head =>
  Object.fromEntries(
    Array.from({ length: draw.between(least, 6) }, () => [
      `x-${draw.below(200)}`,
      Array.from({ length: draw.oneIn(20) ? draw.below(2_000) : draw.below(30) }, () => String.fromCharCode(draw.between(0x21, 0x7e))).join(
        '',
      ),
    ]),
  )
