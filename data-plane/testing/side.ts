/** Both sides of a connection in memory, for tests: what each was told, and bytes moved by hand. */
import { Connection } from '../http2/connection.ts'
import type { ConnectionEvents, Role } from '../http2/connection-events.ts'
import { type HeaderField, headerField, valueText } from '../http2/header-field.ts'
import { SlabPool } from '../http2/output.ts'
import { ERROR } from '../http2/protocol.ts'
import { newTally, type Shared, WindowBudget } from '../http2/shared.ts'
import type { LossCause, Stream, StreamSink } from '../http2/stream.ts'

export const newShared = (): Shared => ({
  slabs: new SlabPool(4, (size) => new Uint8Array(size)),
  windowBudget: new WindowBudget(),
  tally: newTally(),
})
export const REQUEST = [
  headerField(':method', 'POST'),
  headerField(':scheme', 'http'),
  headerField(':path', '/a/b'),
  headerField('x-long', 'v'.repeat(40)),
]

/** One side with everything that it was told. */
export class Side implements ConnectionEvents {
  readonly shared = newShared()
  readonly connection: Connection
  readonly requests: Stream[] = []
  readonly heard: string[] = []
  readonly bytes = new Map<Stream, Uint8Array>()
  fatal: string | undefined
  /** Credit goes back as soon as bytes come, unless a test holds it. */
  hold = false

  constructor(role: Role) {
    this.connection = new Connection(role, this, this.shared)
  }

  readonly sink: StreamSink = {
    onHead: (stream, fields, end) => this.#say(stream, `head ${fields.map((field) => valueText(field)).join(',')}${end ? ' end' : ''}`),
    onData: (stream, source, start, end, last) => {
      this.bytes.set(stream, joined([this.bytes.get(stream) ?? new Uint8Array(0), source.subarray(start, end)]))
      if (!this.hold) stream.returnCredit(end - start, true)
      if (last) this.#say(stream, 'end')
    },
    onTrailers: (stream, fields) => this.#say(stream, `trailers ${fields.map((field) => valueText(field)).join(',')}`),
    onReset: (stream, code) => this.#say(stream, `reset ${code}`),
    onLost: (stream, cause: LossCause) => this.#say(stream, `lost ${cause}`),
    onSent: () => {},
  }

  #say(stream: Stream, what: string): void {
    this.heard.push(`${stream.id} ${what}`)
  }

  onRequest(stream: Stream, fields: HeaderField[], endStream: boolean): void {
    stream.sink = this.sink
    this.requests.push(stream)
    this.heard.push(
      `${stream.id} request ${fields
        .map((field) => valueText(field))
        .join(' ')
        .slice(0, 120)}${endStream ? ' end' : ''}`,
    )
  }

  onBadRequest(stream: Stream, problem: string): void {
    this.heard.push(`${stream.id} bad ${problem}`)
    stream.reset(ERROR.PROTOCOL_ERROR)
  }

  onOutput(): void {}
  onOutputFull(): void {}
  onCapacity(): void {}
  onFatal(_connection: Connection, code: number, reason: string): void {
    this.fatal = `${code} ${reason}`
  }

  /** One read, to its end. */
  hear(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) at = this.connection.receive(bytes, bytes.length, at)
  }

  take(): Uint8Array {
    return joined(this.connection.output.take().map(({ bytes }) => bytes))
  }
}

/** Moves bytes until both are silent; `step` cuts the reads. */
export function settle(a: Side, b: Side, step = Number.POSITIVE_INFINITY): void {
  for (let moved = true; moved; ) {
    moved = false
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      const bytes = from.take()
      for (let at = 0; at < bytes.length; at += step) {
        const piece = bytes.slice(at, Math.min(bytes.length, at + step))
        to.hear(piece)
        piece.fill(0xee) // a read buffer is used again: nobody may have kept a view of it
      }
      from.connection.onSocketTook()
      moved ||= bytes.length > 0
    }
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
