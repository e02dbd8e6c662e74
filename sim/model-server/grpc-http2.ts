/**
 * gRPC on node:http2, as a server: message framing, statuses, deadlines. Written here because grpc-js cannot reset a stream or close a connection on
 * purpose, which is what a simulation of failures is for. A call ends once; headers go out with its first message, so that an early error is
 * Trailers-Only, as Triton's are.
 */
import { createServer, constants as h2, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { gunzipSync, inflateSync } from 'node:zlib'
import { listenOrExplain, splitHostPort } from '../../core/edge/listen.ts'

export const STATUS = {
  OK: 0,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const

export type Call = {
  readonly headers: IncomingHttpHeaders
  /** A frame of token-message.ts. False when the reader does not keep up; `onDrain` says when it does again. */
  send(frame: Buffer): boolean
  finish(status: number, message?: string): void
  /** Breaks the stream, or the whole connection. */
  break(mode: 'reset' | 'drop'): void
  onDrain(listener: () => void): void
  /** However it ended, once. */
  onEnd(listener: () => void): void
}

export type Reader = { onMessage(message: Buffer): void; onHalfClose(): void }
export type Method = (call: Call) => Reader

export type GrpcServer = { readonly address: string; close(): Promise<void> }

const MESSAGE_MAX = 64 * 1024 * 1024
const FRAME_HEAD = 5
/** Bytes of one call that wait for its reader before its job pauses. */
const BACKLOG_MAX = 64 * 1024
const STREAMS_MAX = 10_000
/** Generous, because callers behind one proxy share a connection and may all cancel at once. */
const RESETS = { streamResetBurst: 100_000, streamResetRate: 10_000 }
const TIMEOUT_UNITS_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 }
const TIMER_MAX_MS = 2_147_483_647

export async function serveGrpc(listen: string, methods: ReadonlyMap<string, Method>, refuse: () => boolean): Promise<GrpcServer> {
  const sessions = new Set<ServerHttp2Session>()
  const server = createServer({
    settings: { maxConcurrentStreams: STREAMS_MAX, initialWindowSize: 1024 * 1024 },
    maxSessionMemory: 512,
    ...RESETS,
  })
  server.on('session', (session) => {
    sessions.add(session)
    session.setLocalWindowSize(16 * 1024 * 1024)
    session.on('error', () => session.destroy())
    session.once('close', () => sessions.delete(session))
  })
  server.on('stream', (stream, headers) => {
    // A stream that its client or we have reset also says so as an error; its end is heard by 'close'.
    stream.on('error', () => stream.destroy())
    if (refuse()) stream.close(h2.NGHTTP2_REFUSED_STREAM)
    else serveStream(stream, headers, methods)
  })
  await listenOrExplain(server, listen, 'gRPC')
  return {
    address: `${splitHostPort(listen).host}:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const session of sessions) session.destroy()
      }),
  }
}

function serveStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, methods: ReadonlyMap<string, Method>): void {
  let ended = false
  const endListeners: (() => void)[] = []
  const end = (): void => {
    ended = true
    clearTimeout(timer)
    for (const listener of endListeners.splice(0)) listener()
  }
  const call: Call = {
    headers,
    send(frame) {
      if (ended || stream.destroyed) return true
      if (!stream.headersSent) {
        stream.respond(
          { ':status': 200, 'content-type': 'application/grpc', 'grpc-accept-encoding': 'identity,gzip,deflate' },
          { waitForTrailers: true },
        )
      }
      stream.write(frame)
      return stream.writableLength <= BACKLOG_MAX
    },
    finish(status, message) {
      if (ended || stream.destroyed) return
      end()
      const trailers = { 'grpc-status': String(status), ...(message === undefined ? {} : { 'grpc-message': encodeURI(message) }) }
      if (!stream.headersSent) {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...trailers }, { endStream: true })
        return
      }
      stream.once('wantTrailers', () => stream.sendTrailers(trailers))
      stream.end()
    },
    break(mode) {
      end()
      if (mode === 'drop') stream.session?.destroy()
      else stream.close(h2.NGHTTP2_INTERNAL_ERROR)
    },
    onDrain: (listener) => void stream.on('drain', listener),
    onEnd: (listener) => void endListeners.push(listener),
  }
  const deadline = timeoutOf(headers['grpc-timeout'])
  const timer =
    deadline === undefined ? undefined : setTimeout(() => call.finish(STATUS.DEADLINE_EXCEEDED, 'the deadline passed'), deadline)
  stream.once('close', end)
  const method = methods.get(headers[':path'] ?? '')
  if (method === undefined) {
    stream.resume()
    call.finish(STATUS.UNIMPLEMENTED, `there is no method ${headers[':path']}`)
    return
  }
  readMessages(
    stream,
    headers,
    method(call),
    (status, message) => call.finish(status, message),
    () => ended,
  )
}

function readMessages(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  reader: Reader,
  fail: (status: number, message: string) => void,
  isOver: () => boolean,
): void {
  let chunks: Buffer[] = []
  let held = 0
  let needed = FRAME_HEAD
  stream.on('data', (chunk: Buffer) => {
    if (isOver()) return
    chunks.push(chunk)
    held += chunk.length
    while (held >= needed && !isOver()) {
      // Joined only when a message is whole: joining at every read would copy a large one again and again.
      let bytes = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
      const length = bytes.readUInt32BE(1)
      if (length > MESSAGE_MAX) return fail(STATUS.RESOURCE_EXHAUSTED, `a message of ${length} bytes is larger than ${MESSAGE_MAX}`)
      needed = FRAME_HEAD + length
      if (held >= needed) {
        const message = inflate(bytes[0] ?? 0, bytes.subarray(FRAME_HEAD, needed), headers['grpc-encoding'])
        bytes = bytes.subarray(needed)
        held -= needed
        needed = FRAME_HEAD
        if (message === undefined) return fail(STATUS.UNIMPLEMENTED, 'a message can be sent as it is, or with gzip or deflate')
        reader.onMessage(message)
      }
      chunks = bytes.length === 0 ? [] : [bytes]
    }
  })
  stream.once('end', () => reader.onHalfClose())
}

function inflate(flag: number, bytes: Buffer, encoding: string | string[] | undefined): Buffer | undefined {
  if (flag === 0) return bytes
  try {
    if (encoding === 'gzip') return gunzipSync(bytes, { maxOutputLength: MESSAGE_MAX })
    if (encoding === 'deflate') return inflateSync(bytes, { maxOutputLength: MESSAGE_MAX })
  } catch {
    // Not what it says of itself: as unreadable as an unknown encoding.
  }
  return undefined
}

function timeoutOf(header: string | string[] | undefined): number | undefined {
  const match = typeof header === 'string' ? /^(\d{1,8})([HMSmun])$/.exec(header) : null
  return match === null ? undefined : Math.min(TIMER_MAX_MS, Number(match[1]) * (TIMEOUT_UNITS_MS[match[2] ?? ''] ?? 0))
}
