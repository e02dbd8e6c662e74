/**
 * What a simulated agent says, encoded once: a report is a copy of these bytes with its sequence and its numbers written over. Sizes are those of a
 * real host with eight GPUs. A generator that encoded each report anew would cost more than the control plane that is measured.
 */
import { telemetrySubject } from '../../core/subjects.ts'
import {
  EndpointHealth,
  EndpointReport,
  GpuBinding,
  GpuReport,
  GpuState,
  GpuTelemetry,
  NodeReport,
  Protocol,
} from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export const REPORT_PERIOD_MS = 500
const GPUS = 8
/** Every so many-th node runs two servers. */
const TWO_SERVERS_EACH = 4

/** A varint of five bytes whatever its value: protobuf lets leading zeros stand. */
const SEQUENCE_BYTES = 5
const SEQUENCE_TAG = 0x18
const FULL_TAG = 0x28
/** A number that occurs nowhere else in a report marks where a queue's depth is written. */
const QUEUE_MARK = 1234.0625
/** The same for how much of a GPU is in use, which moves with the queue. */
const USE_MARK = 0.4321
const QUEUE_OF_FULL_USE = 100

/** The one node whose servers offer a model that nobody else has. */
export const WATCHED_NODE = 0
export const WATCHED_MODEL = 'watched'
const MODEL = 'llama-3-70b-instruct'

export const nodeName = (at: number): string => `node-${String(at).padStart(5, '0')}`
export const endpointsOf = (at: number): readonly string[] =>
  (at % TWO_SERVERS_EACH === 0 ? ['triton', 'vllm'] : ['triton']).map((name) => `${nodeName(at)}/${name}`)

const gpu = (at: number, index: number): GpuReport =>
  GpuReport.fromPartial({
    uuid: `GPU-${at.toString(16).padStart(8, '0')}-5a1b-4c2d-8e3f-${index.toString(16).padStart(12, '0')}`,
    name: 'NVIDIA H100 80GB HBM3',
    pciBusId: `00000000:${(0x18 + index).toString(16).toUpperCase()}:00.0`,
    index,
    utilization: USE_MARK,
    memoryUtilization: 0.41,
    memoryTotalBytes: 85_520_809_984n,
    memoryUsedBytes: 71_300_000_000n,
    temperatureCelsius: 61,
    powerDrawWatts: 512.3,
    powerLimitWatts: 700,
    smClockMhz: 1_755,
    smClockMaxMhz: 1_980,
    throttleReasons: 0n,
    eccUncorrected: 0n,
    migEnabled: false,
    recoveryAction: 'None',
    state: GpuState.GPU_STATE_OK,
    driverVersion: '570.124.06',
  })

const endpoint = (id: string, model: string, port: number, gpus: readonly GpuReport[], health: EndpointHealth): EndpointReport =>
  EndpointReport.fromPartial({
    id,
    address: `127.0.0.1:${port}`,
    protocol: Protocol.PROTOCOL_KSERVE_GRPC,
    models: [model],
    gpuUuids: gpus.map(({ uuid }) => uuid),
    gpuBinding: GpuBinding.GPU_BINDING_PROCESS,
    health,
    probeLatencyMs: 3.2,
    capacity: 64,
    load: { queueDepth: QUEUE_MARK, running: 24, kvCacheUse: 0.63, tokensPerS: 1_850, requestsPerS: 11 },
    serverKind: 'triton',
  })

/** One NATS message, ready to be sent but for what changes. */
type Template = {
  readonly bytes: Buffer
  readonly sequenceAt: number
  readonly fullAt: number
  readonly queuesAt: readonly number[]
  readonly usesAt: readonly number[]
  readonly healthsAt: readonly number[]
}

export class NodeSpeech {
  readonly #beat: Template
  readonly #whole: Template
  #sequence = 0

  /** `port`: of its first server; the next has the one behind it. */
  constructor(mesh: string, at: number, port = 8_001) {
    const telling = { intervalMs: REPORT_PERIOD_MS, gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_OK }
    const gpus = Array.from({ length: GPUS }, (_, index) => gpu(at, index))
    const whole = (health: EndpointHealth): NodeReport =>
      NodeReport.fromPartial({
        ...telling,
        zone: `zone-${at % 3}`,
        agentVersion: '0.1.0',
        gpus,
        endpoints: endpointsOf(at).map((id, server) =>
          endpoint(id, at === WATCHED_NODE ? WATCHED_MODEL : MODEL, port + server, gpus, health),
        ),
        host: { cpuUtilization: 0.2, memoryTotalBytes: 2_164_000_000_000n, memoryUsedBytes: 400_000_000_000n },
      })
    this.#beat = frame(mesh, at, NodeReport.fromPartial(telling))
    const ready = frame(mesh, at, whole(EndpointHealth.ENDPOINT_HEALTH_READY))
    const failed = frame(mesh, at, whole(EndpointHealth.ENDPOINT_HEALTH_FAILED)).bytes
    this.#whole = { ...ready, healthsAt: [...ready.bytes.keys()].filter((index) => ready.bytes[index] !== failed[index]) }
  }

  /** Nothing changed: the node lives. */
  beat(): Buffer {
    return this.#next(this.#beat, false)
  }

  /** All that is known; or, not `full`, GPUs and endpoints that changed, which on a busy host are all. */
  whole(full: boolean, queueDepth: number): Buffer {
    const { bytes, queuesAt, usesAt } = this.#whole
    for (const at of queuesAt) bytes.writeDoubleLE(queueDepth, at)
    for (const at of usesAt) bytes.writeDoubleLE(queueDepth / QUEUE_OF_FULL_USE, at)
    return this.#next(this.#whole, full)
  }

  setHealth(health: EndpointHealth): void {
    for (const at of this.#whole.healthsAt) this.#whole.bytes[at] = health
  }

  #next({ bytes, sequenceAt, fullAt }: Template, full: boolean): Buffer {
    let rest = ++this.#sequence
    for (let index = 0; index < SEQUENCE_BYTES; index++, rest >>>= 7)
      bytes[sequenceAt + index] = (rest & 0x7f) | (index < SEQUENCE_BYTES - 1 ? 0x80 : 0)
    bytes[fullAt] = full ? 1 : 0
    return bytes
  }
}

function frame(mesh: string, at: number, report: NodeReport): Template {
  const node = nodeName(at)
  const names = NodeReport.encode(NodeReport.fromPartial({ nodeId: node, bootId: `boot-${node}` })).finish()
  const patched = Uint8Array.of(SEQUENCE_TAG, ...new Array(SEQUENCE_BYTES).fill(0), FULL_TAG, 0)
  const payload = Buffer.concat([names, patched, NodeReport.encode(report).finish()])
  const head = Buffer.from(`PUB ${telemetrySubject(mesh, node)} ${payload.length}\r\n`)
  const bytes = Buffer.concat([head, payload, Buffer.from('\r\n')])
  const sequenceAt = head.length + names.length + 1
  const fullAt = sequenceAt + SEQUENCE_BYTES + 1
  return { bytes, sequenceAt, fullAt, queuesAt: placesOf(bytes, QUEUE_MARK), usesAt: placesOf(bytes, USE_MARK), healthsAt: [] }
}

function placesOf(bytes: Buffer, mark: number): readonly number[] {
  const wanted = Buffer.alloc(8)
  wanted.writeDoubleLE(mark)
  const places: number[] = []
  for (let at = bytes.indexOf(wanted); at >= 0; at = bytes.indexOf(wanted, at + 1)) places.push(at)
  return places
}
