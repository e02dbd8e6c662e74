/**
 * A GPU host of the simulation: a model server, and the product's own agent loop that looks at it and decides what to report when. A fault changes what the
 * server does at once, and what the agent sees of it when a real one would.
 */

import { SampleLoop } from '../../../agents/sample-loop.ts'
import { endpointId } from '../../../core/ids.ts'
import { limits } from '../../../core/limits.ts'
import { type Millis, millis } from '../../../core/units.ts'
import {
  EndpointHealth,
  type EndpointLoad,
  EndpointReport,
  GpuBinding,
  GpuReport,
  GpuState,
  GpuTelemetry,
  type NodeReport,
  Protocol,
} from '../../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { Server } from '../servers/server.ts'
import { MODEL } from './proxy.ts'
import type { Request } from './request.ts'

/** `failing`: takes requests and answers each with an error at once. */
export type Condition = 'well' | 'crashed' | 'hung' | 'failing'

export type Offered = 'taken' | 'refused' | 'unreachable' | 'error'

/** As NVML says it of heat. */
const THROTTLED = 0x40n
const IDLE_LOAD: EndpointLoad = { queueDepth: 0, running: 0, kvCacheUse: 0 }

export class SimNode {
  readonly endpointId: string
  readonly address: string
  readonly server: Server<Request>
  condition: Condition = 'well'
  /** It says that it has nothing to do, whatever it has. */
  lies = false
  throttled = false
  /** When the agent's probe sees what is wrong, or that nothing is any more. */
  #seesFrom = 0
  #seen: Condition = 'well'
  readonly #agent: SampleLoop
  readonly #clock: { now(): Millis }
  readonly #gpus: readonly [GpuReport, GpuReport]
  readonly #report: EndpointReport

  constructor(index: number, server: Server<Request>, clock: { now(): Millis }, draw: () => number, publish: (report: NodeReport) => void) {
    const nodeId = `gpu-${index + 1}`
    this.endpointId = endpointId(nodeId, 'sim')
    this.address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}:8001`
    this.server = server
    this.#clock = clock
    const gpu = GpuReport.fromPartial({ uuid: `GPU-${index + 1}`, state: GpuState.GPU_STATE_OK, throttleReasons: 0n })
    this.#gpus = [gpu, { ...gpu, throttleReasons: THROTTLED }]
    this.#report = EndpointReport.fromPartial({
      id: this.endpointId,
      address: this.address,
      protocol: Protocol.PROTOCOL_KSERVE_GRPC,
      models: [MODEL],
      gpuUuids: [gpu.uuid],
      gpuBinding: GpuBinding.GPU_BINDING_FLAG,
      capacity: server.slots,
      serverKind: 'sim',
    })
    this.#agent = new SampleLoop(
      {
        clock,
        wallClock: () => BigInt(Math.round(clock.now())),
        draw,
        gpus: () => ({
          gpus: [this.#gpus[this.throttled ? 1 : 0]],
          gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_OK,
          gpuTelemetryReason: '',
        }),
        xids: () => [],
        endpoints: () => [this.#endpoint()],
        host: () => undefined,
        publish: (report) => {
          publish(report)
          return true
        },
      },
      { nodeId, bootId: 'boot-1', zone: 'z1', agentVersion: 'simulated', simulated: true },
    )
  }

  /** The agent's timer. */
  look(): void {
    if (this.#clock.now() >= this.#seesFrom) this.#seen = this.condition
    this.#agent.look()
  }

  offer(request: Request, now: Millis): Offered {
    if (this.condition === 'crashed') return 'unreachable'
    if (this.condition === 'failing') return 'error'
    return this.server.offer(request, now)
  }

  /** Answers the requests that are lost by it. */
  suffer(condition: Condition, now: Millis): readonly Request[] {
    this.condition = condition
    this.#seesFrom = now + SEEN_AFTER_MS[condition]
    this.server.setSpeed(condition === 'hung' ? 0 : 1, now)
    return condition === 'crashed' ? this.server.crash(now) : []
  }

  #endpoint(): EndpointReport {
    if (this.#seen === 'crashed' || this.#seen === 'hung')
      return { ...this.#report, health: EndpointHealth.ENDPOINT_HEALTH_FAILED, healthReason: WORDS[this.#seen] }
    return { ...this.#report, health: EndpointHealth.ENDPOINT_HEALTH_READY, load: this.#load() }
  }

  #load(): EndpointLoad {
    const load = this.server.load(this.#clock.now())
    return this.lies ? IDLE_LOAD : load
  }
}

/** A port that is shut shows at the next look, a server that hangs with the next deep probe. Errors that it answers with do not show in a probe. */
const SEEN_AFTER_MS: Readonly<Record<Condition, number>> = {
  well: limits.probeTimeout,
  crashed: 0,
  hung: limits.deepProbePeriod / 2 + limits.deepProbeTimeout,
  failing: 0,
}

const WORDS = { crashed: 'connection refused', hung: `no answer within ${millis(limits.deepProbeTimeout)} ms` } as const
