/** Keeps asking the inference server beside the agent whether it is ready, how loaded it is and what it serves. No question overlaps its own next one. */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { EndpointReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { FRESH_HEALTH, type Health, healthOf, stepHealth } from '../backend/endpoint-health.ts'
import { protocolOf } from '../backend/kinds.ts'
import { loadReport } from '../backend/load-of.ts'
import type { BoundGpus } from '../discovery/gpu-wish.ts'
import type { ServerSpec } from '../discovery/server-spec.ts'
import { askHealth } from './ask-health.ts'
import type { ModelLister } from './list-models.ts'
import { loadScraper, type Scrape } from './scrape-load.ts'

export type ServerWatch = {
  report(): EndpointReport
  close(): Promise<void>
}

export type ServerWatchOptions = {
  readonly id: string
  readonly spec: ServerSpec
  readonly gpus: () => BoundGpus
  /** How to find out what it serves, when nobody said so. */
  readonly lister: ModelLister | undefined
  readonly clock: Clock
  readonly log: Logger
  readonly onChange: () => void
  readonly onScrape?: (scrape: Scrape) => void
}

const ANY_MODEL: readonly string[] = ['*']

export function watchServer(options: ServerWatchOptions): ServerWatch {
  const { id, spec, lister, clock, log } = options
  let health: Health = FRESH_HEALTH
  let probeLatencyMs: number | undefined
  const scraper = loadScraper(options)
  let models = spec.models
  let modelsAskedAt: Millis | undefined

  const askModels = async (): Promise<void> => {
    if (lister === undefined) return
    modelsAskedAt = clock.now()
    const listed = await lister.list()
    if (listed === undefined) log.debug({ endpoint: id }, 'models.unknown')
    models = listed ?? models
  }

  const probe = async (): Promise<void> => {
    const { evidence, took } = await askHealth(spec, models ?? [])
    probeLatencyMs = took
    const becomesReady = evidence.kind === 'ready' && health.state !== 'ready'
    // A server is not offered before it is known for which models, or until it has declined to say.
    if (becomesReady) await askModels()
    const next = stepHealth(health, evidence)
    const changed = next.state !== health.state
    health = next
    if (!changed) return
    log.info({ endpoint: id, state: health.state, reason: healthOf(health).healthReason }, 'endpoint.health')
    options.onChange()
  }

  const scrape = (): Promise<void> => scraper.scrape(models ?? [])

  const refreshModels = async (): Promise<void> => {
    if (modelsAskedAt !== undefined && clock.now() - modelsAskedAt >= limits.fullReportPeriod && health.state === 'ready') await askModels()
  }

  const rounds = [probe, scrape, refreshModels].map((ask) => everyPeriod(ask))
  return {
    report() {
      return {
        id,
        address: spec.advertise,
        protocol: protocolOf(spec.kind, spec.grpc !== undefined),
        models: [...(models ?? ANY_MODEL)],
        ...options.gpus(),
        serverKind: spec.kind,
        ...healthOf(health),
        probeLatencyMs,
        ...loadReport(scraper.load(), spec.capacity),
      }
    },
    async close() {
      await Promise.all(rounds.map((stop) => stop()))
      lister?.close()
    },
  }
}

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
