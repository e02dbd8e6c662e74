/**
 * A rehearsal before the first client: the worker relays between sockets of our own, so that the compiler's work on the hot path is done when
 * traffic comes, not while it comes. Bounded in time; a rehearsal that fails costs only itself. Afterwards the worker forgets what it counted and decided.
 */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { limits } from '../../core/limits.ts'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { FLAG, FRAME, PREFACE } from '../http2/protocol.ts'
import { frameCutter, RehearsalClient, RehearsalServer } from './rehearsal-peers.ts'
import type { Worker } from './worker.ts'

const CLIENTS = 4
const IN_FLIGHT = 8
const REQUEST_BYTES = 1_024
const TOKEN_BYTES = 64
const TOKENS = 32
const IDLE_POLL_MS = 2

export async function warmUp(worker: Worker): Promise<void> {
  const servers: Server[] = []
  const sockets: Socket[] = []
  try {
    const backend = await listen(servers, (socket) => {
      sockets.push(socket)
      serve(socket)
    })
    const front = await listen(servers, (socket) => worker.takeSocket(socket), true)
    worker.apply({ ...NO_NEWS, upserts: [{ ...ENDPOINT, address: `127.0.0.1:${backend}` }] })
    const until = performance.now() + limits.warmUpMax
    await Promise.all(Array.from({ length: CLIENTS }, () => call(front, until, sockets)))
  } finally {
    for (const socket of sockets) socket.destroy()
    for (const server of servers) server.close()
    const patience = performance.now() + limits.warmUpMax
    while (!worker.idle && performance.now() < patience) await new Promise((resolve) => setTimeout(resolve, IDLE_POLL_MS))
    worker.apply({ ...NO_NEWS, removed: [ENDPOINT.id] })
    worker.forgetRehearsal()
  }
}

const NO_NEWS = { upserts: [], head: undefined, removed: [], loads: [], hold: undefined, elsewhere: [] }

const ENDPOINT = {
  id: 'warm-up',
  node: '',
  zone: '',
  protocol: 'KSERVE_GRPC',
  models: ['*'],
  weight: 100,
  state: 'READY',
  freshness: 'fresh',
  capacity: 0,
} as const

function listen(servers: Server[], onSocket: (socket: Socket) => void, pauseOnConnect = false): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer({ pauseOnConnect }, onSocket)
    servers.push(server)
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
  })
}

function serve(socket: Socket): void {
  const peer = new RehearsalServer(REQUEST, TOKEN, TOKENS)
  socket.on('error', () => {})
  socket.write(peer.greet())
  const cut = frameCutter((type, flags, streamId) => {
    if (type === FRAME.DATA && (flags & FLAG.END_STREAM) !== 0) socket.write(peer.answer(streamId))
  })
  let prefaceLeft = PREFACE.length
  socket.on('data', (chunk: Buffer) => {
    const skipped = Math.min(prefaceLeft, chunk.length)
    prefaceLeft -= skipped
    cut(chunk.subarray(skipped))
  })
}

/** Keeps some calls in flight until the time is up, and lets the last ones finish: a cancelled one would still be counted as burning. */
function call(port: number, until: number, sockets: Socket[]): Promise<void> {
  return new Promise((resolve) => {
    const peer = new RehearsalClient(REQUEST)
    const socket = connect(port, '127.0.0.1')
    sockets.push(socket)
    const late = setTimeout(resolve, 2 * limits.warmUpMax)
    const done = (): void => {
      clearTimeout(late)
      resolve()
    }
    let open = 0
    const next = (): void => {
      if (performance.now() < until) {
        open++
        socket.write(peer.call())
      } else if (open === 0) done()
    }
    socket.on(
      'data',
      frameCutter((type, flags) => {
        if (type !== FRAME.HEADERS || (flags & FLAG.END_STREAM) === 0) return
        open--
        next()
      }),
    )
    socket.once('connect', () => {
      socket.write(peer.greet())
      for (let i = 0; i < IN_FLIGHT; i++) next()
    })
    socket.on('error', done)
    socket.on('close', done)
  })
}

function framed(body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(5 + body.length)
  bytes.writeUInt32BE(body.length, 1)
  bytes.set(body, 5)
  return bytes
}

const REQUEST = framed(
  ModelInferRequest.encode(
    ModelInferRequest.fromPartial({ modelName: 'warm-up', rawInputContents: [Buffer.alloc(REQUEST_BYTES)] }),
  ).finish(),
)
const TOKEN = framed(Buffer.alloc(TOKEN_BYTES))
