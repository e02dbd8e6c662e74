/**
 * A client that tells when each message of a ModelStreamInfer came, by the monotonic clock. It is node:http2 and nothing of the proxy's own engine,
 * so that a measurement never rests on the code that is measured. All messages that one read of the socket brings have the same moment, give or take
 * microseconds: that is how a batch shows.
 */
import { readFileSync } from 'node:fs'
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2'
import { CommandFailure } from './command-failure.ts'

/** Bytes before each gRPC message: whether it is compressed, and its length. */
const PREFIX = 5
const CONNECT_WITHIN_MS = 10_000
/** Of ModelStreamInferResponse: error_message, field 1, as bytes. */
const ERROR_MESSAGE_TAG = 0x0a

export type Target = {
  /** What it is called in an error: `direct` or `through`. */
  readonly side: string
  /** http:// or https:// with host and port. */
  readonly origin: string
  /** File of a certificate authority that is trusted besides the system's. */
  readonly ca: string | undefined
}

export type StreamCall = {
  readonly path: string
  readonly request: Uint8Array
  readonly metadata: Readonly<Record<string, string>>
  readonly deadlineSeconds: number
}

/** Milliseconds of the monotonic clock. */
export type Timed = { readonly asked: number; readonly came: readonly number[] }

export class TokenClient {
  readonly #target: Target
  readonly #session: ClientHttp2Session

  private constructor(target: Target, session: ClientHttp2Session) {
    this.#target = target
    this.#session = session
  }

  static async connect(target: Target): Promise<TokenClient> {
    const { side, origin, ca } = target
    const session = connect(origin, ca === undefined ? {} : { ca: readFileSync(ca) })
    const timer = setTimeout(() => session.destroy(new Error(`no HTTP/2 connection within ${CONNECT_WITHIN_MS} ms`)), CONNECT_WITHIN_MS)
    try {
      await new Promise<void>((resolve, reject) => {
        session.once('remoteSettings', () => resolve())
        session.once('error', reject)
        session.once('close', () => reject(new Error('the connection was closed before an HTTP/2 answer')))
      })
    } catch (error) {
      session.destroy()
      throw new CommandFailure(`${side}, ${origin}: ${explain(error as Error)}`)
    } finally {
      clearTimeout(timer)
    }
    // Streams tell of their end themselves.
    session.on('error', () => {})
    return new TokenClient(target, session)
  }

  /** One request, read to its end. Rejects for any end but OK, and for an error that the model server puts into the stream. */
  stream(call: StreamCall): Promise<Timed> {
    const came: number[] = []
    const asked = performance.now()
    const http = this.#session.request({
      ':method': 'POST',
      ':path': call.path,
      te: 'trailers',
      'content-type': 'application/grpc',
      'grpc-timeout': `${Math.ceil(call.deadlineSeconds * 1000)}m`,
      ...call.metadata,
    })
    http.end(framed(call.request))
    let last: IncomingHttpHeaders = {}
    let told: string | undefined
    const splitter = new MessageTimes((firstBytes) => {
      came.push(performance.now())
      if (firstBytes[0] === ERROR_MESSAGE_TAG && firstBytes.length > 1 && firstBytes[1] !== 0) told ??= errorIn(firstBytes)
    })
    http.on('data', (chunk: Buffer) => splitter.take(chunk))
    // The server may not obey the deadline that it was told.
    http.setTimeout(call.deadlineSeconds * 1000, () => http.close(constants.NGHTTP2_CANCEL))
    http.once('response', (head) => {
      last = head
    })
    http.once('trailers', (trailers) => {
      last = { ...last, ...trailers }
    })
    return new Promise((resolve, reject) => {
      http.on('error', () => {})
      http.once('close', () => {
        const status = last['grpc-status']
        const problem =
          told !== undefined
            ? `the model server answered: ${told}`
            : status === undefined
              ? `the stream broke off (HTTP ${last[':status'] ?? 'without an answer'}, reset code ${http.rstCode})`
              : status !== '0'
                ? `grpc-status ${status}: ${unescaped(String(last['grpc-message'] ?? ''))}`
                : came.length === 0
                  ? 'the stream ended without a single message'
                  : undefined
        if (problem === undefined) resolve({ asked, came })
        else reject(new CommandFailure(`${this.#target.side}, ${this.#target.origin}: ${problem}`))
      })
    })
  }

  close(): void {
    this.#session.destroy()
  }
}

function explain(error: Error & { readonly code?: string; readonly errors?: readonly Error[] }): string {
  if (error.code === 'ECONNREFUSED') return 'nothing answers there (connection refused)'
  if (error.code === 'ERR_HTTP2_ERROR')
    return 'the other end does not speak HTTP/2 in this way; a TLS listener is written as https://host:port'
  return error.message === '' ? (error.errors?.[0]?.message ?? error.code ?? 'no connection') : error.message
}

const unescaped = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function framed(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(PREFIX + message.length)
  bytes.writeUInt32BE(message.length, 1)
  bytes.set(message, PREFIX)
  return bytes
}

/** The text behind the tag; its length is a varint of at most two bytes for whatever is kept. */
function errorIn(bytes: Buffer): string {
  const long = ((bytes[1] ?? 0) & 0x80) !== 0
  const length = ((bytes[1] ?? 0) & 0x7f) | (long ? (bytes[2] ?? 0) << 7 : 0)
  return bytes.toString('utf8', long ? 3 : 2, (long ? 3 : 2) + length)
}

/** Of a message this much is kept, for an error's text; the rest is only counted. */
const HEAD_KEPT_MAX = 512

/** Walks a stream's bytes and tells when a message is whole, with its first bytes. No message is ever held as a whole. */
export class MessageTimes {
  readonly #onMessage: (firstBytes: Buffer) => void
  readonly #prefix = Buffer.alloc(PREFIX)
  readonly #head = Buffer.alloc(HEAD_KEPT_MAX)
  #prefixHas = 0
  #headHas = 0
  #left = 0

  constructor(onMessage: (firstBytes: Buffer) => void) {
    this.#onMessage = onMessage
  }

  take(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#prefixHas < PREFIX) {
        const count = chunk.copy(this.#prefix, this.#prefixHas, at, at + PREFIX - this.#prefixHas)
        at += count
        this.#prefixHas += count
        if (this.#prefixHas < PREFIX) return
        this.#left = this.#prefix.readUInt32BE(1)
        this.#headHas = 0
      }
      const count = Math.min(this.#left, chunk.length - at)
      this.#headHas += chunk.copy(this.#head, this.#headHas, at, at + Math.min(count, HEAD_KEPT_MAX - this.#headHas))
      at += count
      this.#left -= count
      if (this.#left > 0) return
      this.#prefixHas = 0
      this.#onMessage(this.#head.subarray(0, this.#headHas))
    }
  }
}
