/** Keeps asking the inference server beside the agent whether it is ready, how loaded it is and what it serves. No question overlaps its own next one. */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import { kib, type Millis } from '../../core/units.ts'
import { type EndpointReport, Protocol } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type Evidence, FRESH_HEALTH, type Health, healthOf, stepHealth } from '../backend/endpoint-health.ts'
import { type DatedPage, loadOf, readTritonPage, withPage } from '../backend/triton.ts'
import { type HttpAnswer, httpAsk } from './http-ask.ts'
import type { ModelLister } from './list-models.ts'

export type ServerWatch = {
  report(): EndpointReport
  close(): Promise<void>
}

export type ServerWatchOptions = {
  readonly fixed: Pick<EndpointReport, 'id' | 'address' | 'gpuBinding' | 'capacity'>
  readonly gpuUuids: () => readonly string[]
  /** host:port of GET /v2/health/ready. */
  readonly health: string
  readonly metricsUrl: string
  /** As the operator said, or how to find out. */
  readonly models: readonly string[] | ModelLister
  readonly clock: Clock
  readonly log: Logger
  readonly onChange: () => void
}

const HEALTH_ANSWER_MAX = kib(64)
const ANY_MODEL: readonly string[] = ['*']

export function watchServer(options: ServerWatchOptions): ServerWatch {
  const { clock, log } = options
  const lister = 'list' in options.models ? options.models : undefined
  let health: Health = FRESH_HEALTH
  let probeLatencyMs: number | undefined
  let pages: readonly DatedPage[] = []
  let models: readonly string[] | undefined = 'list' in options.models ? undefined : options.models
  let modelsAskedAt: Millis | undefined

  const askModels = async (): Promise<void> => {
    if (lister === undefined) return
    modelsAskedAt = clock.now()
    const listed = await lister.list()
    if (listed === undefined) log.debug({ address: options.fixed.address }, 'models.unknown')
    models = listed ?? models
  }

  const probe = async (): Promise<void> => {
    const answer = await httpAsk(`http://${options.health}/v2/health/ready`, limits.probeTimeout, HEALTH_ANSWER_MAX)
    const evidence = weigh(answer)
    probeLatencyMs = answer.kind === 'answer' ? answer.took : undefined
    const becomesReady = evidence.kind === 'ready' && health.state !== 'ready'
    // A server is not offered before it is known for which models, or until it has declined to say.
    if (becomesReady) await askModels()
    const next = stepHealth(health, evidence)
    const changed = next.state !== health.state
    health = next
    if (!changed) return
    log.info({ endpoint: options.fixed.id, state: health.state, reason: healthOf(health).healthReason }, 'endpoint.health')
    options.onChange()
  }

  const scrape = async (): Promise<void> => {
    const answer = await httpAsk(options.metricsUrl, limits.probeTimeout, limits.metricsPageMax)
    if (answer.kind === 'answer' && answer.status === 200) pages = withPage(pages, { at: clock.now(), page: readTritonPage(answer.body) })
    else if (answer.kind !== 'refused') log.debug({ url: options.metricsUrl, ...shown(answer) }, 'metrics.unread')
  }

  const refreshModels = async (): Promise<void> => {
    if (modelsAskedAt !== undefined && clock.now() - modelsAskedAt >= limits.fullReportPeriod && health.state === 'ready') await askModels()
  }

  const rounds = [probe, scrape, refreshModels].map((ask) => everyPeriod(ask))
  return {
    report() {
      const last = pages.at(-1)
      const load = last === undefined || clock.now() - last.at > limits.loadAgeMax ? {} : loadOf(pages)
      return {
        ...options.fixed,
        protocol: Protocol.PROTOCOL_KSERVE_GRPC,
        models: [...(models ?? ANY_MODEL)],
        gpuUuids: [...options.gpuUuids()],
        serverKind: 'triton',
        loadSources: {},
        ...healthOf(health),
        probeLatencyMs,
        load: {
          queueDepth: load.queueDepth,
          running: load.running,
          kvCacheUse: load.kvCacheUse,
          tokensPerS: load.tokensPerSecond,
          requestsPerS: load.requestsPerSecond,
        },
      }
    },
    async close() {
      await Promise.all(rounds.map((stop) => stop()))
      lister?.close()
    },
  }
}

function weigh(answer: HttpAnswer): Evidence {
  switch (answer.kind) {
    case 'answer':
      return answer.status === 200 ? { kind: 'ready' } : { kind: 'bad', reason: `not ready (HTTP ${answer.status})` }
    case 'refused':
      return { kind: 'refused' }
    case 'timeout':
      return { kind: 'bad', reason: `no answer within ${limits.probeTimeout} ms` }
    case 'too-large':
      return { kind: 'bad', reason: 'a health answer without end' }
    case 'broken':
      return { kind: 'bad', reason: answer.detail }
    default:
      return answer satisfies never
  }
}

const shown = (answer: HttpAnswer) => (answer.kind === 'answer' ? { status: answer.status } : answer)

/** Returns its stop, which waits for the question under way. */
function everyPeriod(ask: () => Promise<void>): () => Promise<void> {
  let under: Promise<void> | undefined
  const turn = (): void => {
    under ??= ask().finally(() => {
      under = undefined
    })
  }
  turn()
  const timer = setInterval(turn, limits.samplePeriod)
  return async () => {
    clearInterval(timer)
    await under
  }
}
