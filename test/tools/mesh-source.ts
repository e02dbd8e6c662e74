/** A stand-in for a control plane at its mesh stream: sends what a test says, in the messages that the real one lays out, and keeps what proxies say. */
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js'
import { type Delta, loadMessages, makeDeltas, tellThatLoadsHold } from '../../control-plane/snapshot/delta.ts'
import { LoadBatch } from '../../control-plane/snapshot/load-batch.ts'
import { loadRow } from '../../control-plane/snapshot/load-row.ts'
import { makeResource } from '../../control-plane/snapshot/resource.ts'
import {
  type ConnectRequest,
  type Endpoint,
  EndpointState,
  Freshness,
  type Hello,
  type LoadUpdate,
  MeshServiceService,
  Panic,
} from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { Protocol } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export type MeshSource = {
  readonly address: string
  readonly hellos: readonly Hello[]
  /** Nonces that were answered well. */
  readonly acks: readonly string[]
  /** To every proxy that is connected; resolves when one has taken all of it. */
  push(upserts: readonly Endpoint[], removed?: readonly string[]): Promise<void>
  pushLoads(loads: readonly LoadUpdate[]): void
  /** What was told of loads holds. */
  pushHold(): void
  stop(): void
}

export const meshEndpoint = (id: string, address: string, more: Partial<Endpoint> = {}): Endpoint => ({
  id,
  node: id.split('/')[0] ?? '',
  zone: '',
  address,
  protocol: Protocol.PROTOCOL_KSERVE_GRPC,
  models: ['*'],
  weight: 100,
  state: EndpointState.ENDPOINT_STATE_READY,
  stateReason: '',
  freshness: Freshness.FRESHNESS_FRESH,
  capacity: 0,
  panic: Panic.PANIC_UNSPECIFIED,
  ...more,
})

const asIs = (bytes: Buffer): Buffer => bytes

export async function startMeshSource(listen = '127.0.0.1:0'): Promise<MeshSource> {
  const streams = new Set<ServerDuplexStream<ConnectRequest, Buffer>>()
  const hellos: Hello[] = []
  const acks: string[] = []
  const waiting = new Map<string, () => void>()
  let nonce = 0
  const write = (bytes: Uint8Array): void => {
    for (const stream of streams) stream.write(Buffer.from(bytes))
  }
  const onSaid = (said: ConnectRequest): void => {
    if (said.message?.$case === 'hello') hellos.push(said.message.value)
    if (said.message?.$case !== 'ack') return
    acks.push(said.message.value.nonce)
    waiting.get(said.message.value.nonce)?.()
    waiting.delete(said.message.value.nonce)
  }
  const server = new Server()
  server.addService(
    { connect: { ...MeshServiceService.connect, responseSerialize: asIs } },
    {
      connect(stream: ServerDuplexStream<ConnectRequest, Buffer>) {
        streams.add(stream)
        stream.on('data', onSaid)
        for (const event of ['end', 'error', 'cancelled']) stream.on(event, () => streams.delete(stream))
      },
    },
  )
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync(listen, ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error))),
  )
  return {
    address: `127.0.0.1:${port}`,
    hellos,
    acks,
    async push(upserts, removed = []) {
      const parts = { upserts: upserts.map((one) => makeResource(one, {})), removed, loads: [] }
      const deltas: readonly Delta[] = makeDeltas(parts, `test-${nonce}`, () => String(++nonce))
      const taken = deltas.map((delta) => new Promise<void>((resolve) => waiting.set(delta.nonce, resolve)))
      for (const delta of deltas) write(delta.bytes)
      await Promise.all(taken)
    },
    pushLoads(loads) {
      for (const bytes of loadMessages(
        new LoadBatch(loads.map(({ endpointId, load, ageMs, ages }) => loadRow(endpointId, load, ageMs, ages))).all(),
        `test-${nonce}`,
      ))
        write(bytes)
    },
    pushHold: () => write(tellThatLoadsHold(`test-${nonce}`)),
    stop: () => server.forceShutdown(),
  }
}
