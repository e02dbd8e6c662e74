/**
 * A backend on @grpc/grpc-js for any service that is routed by its path: it knows nothing of inference, and sends what a test asked for. Payloads are
 * made from a seed, so that both ends can tell whether they came through whole.
 */
import { createHash } from 'node:crypto'
import {
  Client,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { TEST_SERVICE } from './proxy.ts'

export type TestService = {
  readonly address: string
  /** Bytes of messages that this server has given to its streams so far; it gives no more to a stream that does not take them. */
  readonly written: () => number
  stop(): void
}

export type Download = { readonly messages: number; readonly bytes: number }

export const UNARY = `${TEST_SERVICE}UnaryCall`
/** The request is JSON of a Download; each answer is `bytes` long. */
export const DOWNLOAD = `${TEST_SERVICE}StreamingOutputCall`
/** Answers the SHA-256 of all that was sent. */
export const UPLOAD = `${TEST_SERVICE}StreamingInputCall`
/** Each message comes back. */
export const ECHO = `${TEST_SERVICE}FullDuplexCall`

const asIs = (bytes: Buffer): Buffer => bytes

/** Bytes that differ from message to message and from place to place. */
export function payloadOf(message: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; at++) bytes[at] = (at * 31 + (at >>> 8) * 17 + message * 101) & 0xff
  return bytes
}

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** In clear, unless other credentials are given. */
export async function startTestService(how = ServerCredentials.createInsecure()): Promise<TestService> {
  let written = 0
  const method = (path: string, requestStream: boolean, responseStream: boolean) => ({
    path,
    requestStream,
    responseStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  })
  const server = new Server({ 'grpc.max_receive_message_length': -1 })
  server.addService(
    {
      unary: method(UNARY, false, false),
      download: method(DOWNLOAD, false, true),
      upload: method(UPLOAD, true, false),
      echo: method(ECHO, true, true),
    },
    {
      unary: (call: ServerUnaryCall<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => answer(null, call.request),
      download: async (call: ServerWritableStream<Buffer, Buffer>) => {
        const { messages, bytes } = JSON.parse(call.request.toString()) as Download
        for (let message = 0; message < messages && !call.cancelled; message++) {
          written += bytes
          if (!call.write(payloadOf(message, bytes))) await drained(call)
        }
        call.end()
      },
      upload: (call: ServerReadableStream<Buffer, Buffer>, answer: sendUnaryData<Buffer>) => {
        const hash = createHash('sha256')
        call.on('data', (message: Buffer) => hash.update(message))
        call.on('end', () => answer(null, Buffer.from(hash.digest('hex'))))
      },
      echo: (call: ServerDuplexStream<Buffer, Buffer>) => {
        call.on('data', (message: Buffer) => call.write(message))
        call.on('end', () => call.end())
      },
    },
  )
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', how, (error, bound) => (error === null ? resolve(bound) : reject(error))),
  )
  return { address: `127.0.0.1:${port}`, written: () => written, stop: () => server.forceShutdown() }
}

/** Also when the caller leaves: then nothing drains any more. */
const drained = (call: ServerWritableStream<Buffer, Buffer>): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      call.off('drain', done)
      call.off('cancelled', done)
      resolve()
    }
    call.on('drain', done)
    call.on('cancelled', done)
  })

export type CallEnd = {
  readonly code: number
  readonly details: string
  readonly messages: readonly Buffer[]
  readonly headers: Readonly<Record<string, unknown>>
}

/** One request with one message on a connection of its own, read to its end; the client does not retry. */
export async function callOnce(
  address: string,
  path: string,
  message: Uint8Array,
  options: { readonly deadlineMs?: number; readonly metadata?: Readonly<Record<string, string>> } = {},
): Promise<CallEnd> {
  const client = new Client(address, credentials.createInsecure(), {
    'grpc.enable_retries': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': -1,
  })
  const metadata = new Metadata()
  for (const [name, value] of Object.entries(options.metadata ?? {})) metadata.set(name, value)
  const call = client.makeServerStreamRequest(path, asIs, asIs, Buffer.from(message), metadata, {
    deadline: Date.now() + (options.deadlineMs ?? 15_000),
  })
  const messages: Buffer[] = []
  let headers: Record<string, unknown> = {}
  call.on('metadata', (given) => {
    headers = given.getMap()
  })
  call.on('data', (one: Buffer) => messages.push(one))
  call.on('error', () => {})
  const status = await new Promise<{ code: number; details: string }>((resolve) => call.on('status', resolve))
  client.close()
  return { code: status.code, details: status.details, messages, headers }
}
