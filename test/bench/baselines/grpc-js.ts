/** What @grpc/grpc-js costs when it only passes calls on: messages as bytes, metadata, status and cancel copied over. */
import {
  Client,
  credentials,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServiceError,
  type StatusObject,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js'
import { announceReady } from '../../../core/edge/ready-line.ts'
import { inTurn } from './serve.ts'

const UNARY = '/inference.GRPCInferenceService/ModelInfer'
const STREAM = '/inference.GRPCInferenceService/ModelStreamInfer'
const OPTIONS = { 'grpc.max_concurrent_streams': 100_000, 'grpc-node.max_session_memory': 1_000_000, 'grpc.use_local_subchannel_pool': 1 }

const asIs = (bytes: Buffer): Buffer => bytes
const clients = inTurn((address) => new Client(address, credentials.createInsecure(), OPTIONS))

/** A copy: the library adds its own headers to what it is given. */
const passedOn = (metadata: Metadata): Metadata => {
  const copy = metadata.clone()
  for (const own of ['user-agent', 'grpc-accept-encoding', 'accept-encoding', 'content-type', 'te']) copy.remove(own)
  return copy
}

const asError = (end: StatusObject): ServiceError => Object.assign(new Error(end.details), end)

const server = new Server(OPTIONS)
server.register<Buffer, Buffer>(
  UNARY,
  (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
    const upstream = clients
      .next()
      .makeUnaryRequest(UNARY, asIs, asIs, call.request, passedOn(call.metadata), { deadline: call.getDeadline() }, callback)
    call.on('cancelled', () => upstream.cancel())
  },
  asIs,
  asIs,
  'unary',
)
server.register<Buffer, Buffer>(
  STREAM,
  (call: ServerDuplexStream<Buffer, Buffer>) => {
    const upstream = clients.next().makeBidiStreamRequest(STREAM, asIs, asIs, passedOn(call.metadata), { deadline: call.getDeadline() })
    call.on('data', (message: Buffer) => upstream.write(message))
    call.on('end', () => upstream.end())
    upstream.on('data', (message: Buffer) => {
      if (!call.write(message)) {
        upstream.pause()
        call.once('drain', () => upstream.resume())
      }
    })
    // Messages may still wait here when the status is known.
    let last: Metadata | undefined
    upstream.on('status', (end: StatusObject) => {
      last = end.metadata
      if (end.code !== status.OK) call.emit('error', asError(end))
    })
    upstream.on('end', () => call.end(last))
    // The status event tells all that an error would.
    upstream.on('error', () => {})
    call.on('cancelled', () => upstream.cancel())
  },
  asIs,
  asIs,
  'bidi',
)
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error
  announceReady('grpc-js', { listen: `127.0.0.1:${port}` })
})
