/**
 * A gRPC client on node:http2 for tests that look at single streams of a connection that many share: when a message came, what a cancel or a pause does.
 * It retries nothing and keeps no message: whoever calls takes each in the turn in which it came. Windows are node's defaults of 65,535 bytes.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2'
import { framed } from './raw-h2.ts'

export type StreamEnd = {
  /** Of the trailers, or of an answer that is nothing but trailers; absent when the stream broke off before any. */
  readonly status?: number
  readonly details: string
  /** Of the RST_STREAM that ended it; 0 when none did. */
  readonly resetCode: number
  /** It ended in the middle of a message. */
  readonly torn: boolean
}

export type StreamOptions = { readonly headers?: Readonly<Record<string, string>>; onMessage?(message: Buffer): void }

export type GrpcStream = {
  readonly http: ClientHttp2Stream
  /** Rejects when the stream ends without a response head. */
  readonly head: Promise<IncomingHttpHeaders>
  readonly ended: Promise<StreamEnd>
  send(message: Uint8Array): void
  halfClose(): void
  cancel(): void
}

export type GrpcSession = {
  open(path: string, options?: StreamOptions): GrpcStream
  /** At once, as the socket of a client that dies. */
  destroy(): void
}

/** In clear, or by TLS with what `tls` says. */
export async function connectGrpc(address: string, tls?: SecureClientSessionOptions): Promise<GrpcSession> {
  const session = tls === undefined ? connect(`http://${address}`) : connect(`https://${address}`, tls)
  await new Promise((resolve, reject) => {
    session.once('connect', resolve)
    session.once('error', reject)
  })
  // Streams tell of their end themselves.
  session.on('error', () => {})
  return { open: (path, options = {}) => openStream(session, path, options), destroy: () => session.destroy() }
}

function openStream(session: ClientHttp2Session, path: string, { headers = {}, onMessage = () => {} }: StreamOptions): GrpcStream {
  const http = session.request({ ':method': 'POST', ':path': path, te: 'trailers', 'content-type': 'application/grpc', ...headers })
  const messages = new MessageSplitter(onMessage)
  http.on('data', (chunk: Buffer) => messages.take(chunk))
  // An error is followed by 'close', which tells of it.
  http.on('error', () => {})
  let last: IncomingHttpHeaders = {}
  http.once('response', (head) => {
    last = head
  })
  http.once('trailers', (trailers) => {
    last = trailers
  })
  const ended = new Promise<StreamEnd>((resolve) => {
    http.once('close', () => {
      const status = last['grpc-status']
      resolve({
        ...(status === undefined ? {} : { status: Number(status) }),
        details: decodeURIComponent(String(last['grpc-message'] ?? '')),
        resetCode: http.rstCode,
        torn: messages.torn,
      })
    })
  })
  const head = new Promise<IncomingHttpHeaders>((resolve, reject) => {
    http.once('response', resolve)
    http.once('close', () => reject(new Error(`${path} ended without a response head`)))
  })
  head.catch(() => {})
  return {
    http,
    head,
    ended,
    send: (message) => void http.write(framed(message)),
    halfClose: () => void http.end(),
    cancel: () => http.close(constants.NGHTTP2_CANCEL),
  }
}

const PREFIX = 5

/** Cuts a stream's bytes into messages. A large one is joined once, when it is whole. */
class MessageSplitter {
  readonly #onMessage: (message: Buffer) => void
  #held: Buffer[] = []
  #length = 0
  #needed = PREFIX

  constructor(onMessage: (message: Buffer) => void) {
    this.#onMessage = onMessage
  }

  get torn(): boolean {
    return this.#length > 0
  }

  take(chunk: Buffer): void {
    this.#held.push(chunk)
    this.#length += chunk.length
    while (this.#length >= this.#needed) {
      const bytes = this.#held.length === 1 && this.#held[0] !== undefined ? this.#held[0] : Buffer.concat(this.#held)
      this.#needed = PREFIX + bytes.readUInt32BE(1)
      if (bytes.length < this.#needed) {
        this.#held = [bytes]
        return
      }
      const message = bytes.subarray(PREFIX, this.#needed)
      const rest = bytes.subarray(this.#needed)
      this.#held = rest.length === 0 ? [] : [rest]
      this.#length = rest.length
      this.#needed = PREFIX
      this.#onMessage(message)
    }
  }
}

export type Answer = StreamEnd & { readonly messages: readonly Buffer[]; readonly headers: IncomingHttpHeaders }

/** One request with one message, read to its end. */
export async function ask(
  session: GrpcSession,
  path: string,
  message: Uint8Array,
  headers: StreamOptions['headers'] = {},
): Promise<Answer> {
  const messages: Buffer[] = []
  const stream = session.open(path, { headers, onMessage: (one) => void messages.push(one) })
  stream.send(message)
  stream.halfClose()
  const end = await stream.ended
  return { ...end, messages, headers: await stream.head.catch(() => ({})) }
}
