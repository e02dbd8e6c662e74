/** Agents without hosts, many in one process: each with the real link and the real sample loop, and nothing to look at. */
import pino from 'pino'
import { SampleLoop, type Self } from '../../agents/sample-loop.ts'
import { RollCalls } from '../../agents/wire/roll-calls.ts'
import { connectNats, type NatsLink } from '../../core/edge/nats-link.ts'
import { systemClock } from '../../core/edge/system-clock.ts'
import { endpointId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { nodeInbox, rollCall, telemetrySubject } from '../../core/subjects.ts'
import { EndpointHealth, EndpointReport, GpuTelemetry, NodeReport, Protocol } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

const MESH = 'default'

export class Reporter {
  readonly node: string
  readonly #link: NatsLink
  readonly #timer: NodeJS.Timeout
  /** When the link came back, and when full reports were handed over, by performance.now(). */
  readonly returns: number[] = []
  readonly fulls: number[] = []

  /** `address` is what its one endpoint, of a model that nobody asks for, is reached at. */
  static async start(node: string, nats: string, address: string): Promise<Reporter> {
    const calls = new RollCalls()
    const link = await connectNats({
      access: { servers: [nats], credsFile: undefined, tls: undefined },
      self: { name: `agent ${node}`, inbox: nodeInbox(MESH, node) },
      log: pino({ level: 'silent' }),
      waitMax: limits.busWaitMax,
      spread: () => calls.spread(),
    })
    const reporter = new Reporter(node, link, calls, address)
    await link.subscribe(rollCall(MESH), (message) => {
      if (calls.heard(message)) reporter.#loop.rollCalled(calls.spread())
    })
    return reporter
  }

  readonly #loop: SampleLoop

  private constructor(node: string, link: NatsLink, calls: RollCalls, address: string) {
    this.node = node
    this.#link = link
    const self: Self = { nodeId: node, bootId: `boot of ${node}`, zone: 'z1', agentVersion: '0', simulated: true }
    const endpoint = EndpointReport.fromPartial({
      id: endpointId(node, 'idle'),
      address,
      protocol: Protocol.PROTOCOL_KSERVE_GRPC,
      models: ['nobody-asks-for-it'],
      health: EndpointHealth.ENDPOINT_HEALTH_READY,
    })
    this.#loop = new SampleLoop(
      {
        clock: systemClock,
        wallClock: () => BigInt(Date.now()),
        draw: Math.random,
        gpus: () => ({ gpus: [], gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_NO_GPU, gpuTelemetryReason: '' }),
        xids: () => [],
        endpoints: () => [endpoint],
        host: () => undefined,
        publish: (report) => {
          const handed = link.publish(telemetrySubject(MESH, node), NodeReport.encode(report).finish()) === 'handed-over'
          if (handed && report.full) this.fulls.push(performance.now())
          return handed
        },
      },
      self,
    )
    link.onState((state) => {
      if (state === 'down') return
      this.returns.push(performance.now())
      this.#loop.linkReturned(calls.spread())
    })
    this.#timer = setInterval(() => this.#loop.look(), limits.samplePeriod)
  }

  get up(): boolean {
    return this.#link.state() === 'up'
  }

  async close(): Promise<void> {
    clearInterval(this.#timer)
    await this.#link.close()
  }
}
