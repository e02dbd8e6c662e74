/** Keeps asking the inference server beside the agent whether it is ready, how loaded it is and what it serves. No question overlaps its own next one. */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { EndpointReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { askedAgainIn, type Evidence, FRESH_HEALTH, type Health, healthOf, stepHealth } from '../backend/endpoint-health.ts'
import { protocolOf } from '../backend/kinds.ts'
import { loadReport } from '../backend/load-of.ts'
import type { BoundGpus } from '../discovery/gpu-wish.ts'
import type { ServerSpec } from '../discovery/server-spec.ts'
import { sightOf } from '../probe/sight.ts'
import { askAgain } from './again.ts'
import { askHealth } from './ask-health.ts'
import type { Beat } from './beat.ts'
import type { DeepProbe } from './deep-probe.ts'
import { healthLine } from './health-line.ts'
import type { ModelLister } from './list-models.ts'
import { loadScraper, type Scrape } from './scrape-load.ts'

export type ServerWatch = {
  report(): EndpointReport
  /** It answered a first question, or did not in time. */
  seen(): boolean
  /** It is being asked for its load. */
  reading(): boolean
  /** Looks at everything now, and asks every model. */
  probeNow(): Promise<void>
  close(): Promise<void>
}

export type ServerWatchOptions = {
  readonly id: string
  readonly spec: ServerSpec
  readonly gpus: () => BoundGpus
  /** How to find out what it serves; undefined for a server that has no list. */
  readonly lister: ModelLister | undefined
  /** Undefined where that a model says that it is ready has to do. */
  readonly deep: DeepProbe | undefined
  readonly clock: Clock
  readonly beat: Beat
  readonly log: Logger
  readonly onChange: () => void
  /** It was asked for its load, and has answered or not. */
  readonly onRead?: () => void
  readonly onScrape?: (scrape: Scrape) => void
}

const ANY_MODEL = '*'

/** `connectionLost`: a connection to its port for requests broke. */
export function watchServer(options: ServerWatchOptions): ServerWatch & { connectionLost(): void } {
  const { id, spec, lister, deep, clock, beat, log } = options
  let health: Health = FRESH_HEALTH
  let looked = false
  let probeLatencyMs: number | undefined
  const scraper = loadScraper({ ...options, onReading: (at, reading) => deep?.seen(sightOf(at, reading)) })
  /** What the server says that it has ready. */
  let listed: readonly string[] | undefined
  let modelsAskedAt: Millis | undefined
  let modelsDueAt = clock.now()
  /** Its health page answers, and the port for requests does not. */
  let closed = false
  let reading = false

  const askModels = async (): Promise<void> => {
    modelsAskedAt = clock.now()
    modelsDueAt = millis(modelsAskedAt + limits.modelListPeriod)
    const answer = await lister?.list()
    if (answer === undefined) log.debug({ endpoint: id }, 'models.unknown')
    if (closed !== (answer === 'refused')) asking.soon()
    closed = answer === 'refused'
    if (answer !== 'refused') listed = answer ?? listed
    deep?.models(probedModels(spec.models, listed))
  }

  const probe = async (): Promise<void> => {
    const began = clock.now()
    const { evidence: page, took } = await askHealth(spec, spec.models ?? listed ?? [], line)
    probeLatencyMs = took
    if (page.kind === 'refused') deep?.reset()
    // A server is not offered before it is known for which models, or until it has declined to say; nor before the first of them was probed.
    if (page.kind === 'ready' && (modelsAskedAt === undefined || health.state === 'starting' || health.state === 'failed')) {
      await askModels()
      await deep?.turn(limits.samplePeriod)
    }
    const judged = deep?.judge(page, began) ?? page
    const next = stepHealth(health, judged.kind === 'ready' ? canServe(closed, offeredModels(spec.models, listed)) : judged)
    const changed = next.state !== health.state
    health = next
    looked = true
    if (!changed) return
    log.info({ endpoint: id, state: health.state, reason: healthOf(health).healthReason }, 'endpoint.health')
    options.onChange()
  }

  const scrape = async (): Promise<void> => {
    reading = true
    await scraper.scrape(spec.models ?? listed ?? [])
    reading = false
    options.onRead?.()
  }

  const serving = (): boolean => health.state === 'ready' || health.state === 'busy'

  const served = (): string[] => servedOf(spec.models, offeredModels(spec.models, listed), deep?.served())
  let told = served().join()
  const tellModels = (): void => {
    const before = told
    told = served().join()
    if (told !== before) options.onChange()
  }

  const refreshModels = async (): Promise<void> => {
    if (!serving() || clock.now() < modelsDueAt) return
    await askModels()
    tellModels()
  }

  const probeModels = async (): Promise<void> => {
    if (!serving()) return
    await deep?.turn(limits.samplePeriod)
    tellModels()
  }

  const line = healthLine(clock, () => {
    log.debug({ endpoint: id }, 'health-connection.lost')
    asking.soon()
  })
  const asking = askAgain({ clock, beat, gapMin: limits.healthAgain }, async () => {
    await probe()
    return askedAgainIn(health, line.stands())
  })
  const rounds = [atReports(beat, scrape), atReports(beat, refreshModels), atReports(beat, probeModels)]
  return {
    report() {
      return {
        id,
        address: spec.advertise,
        protocol: protocolOf(spec.kind, spec.grpc !== undefined),
        models: served(),
        ...options.gpus(),
        serverKind: spec.kind,
        ...healthOf(health),
        probeLatencyMs,
        ...loadReport(scraper.load(), spec.capacity),
      }
    },
    seen: () => looked,
    reading: () => reading,
    async probeNow() {
      await askModels()
      await deep?.askAll()
      await probe()
    },
    connectionLost() {
      modelsDueAt = millis(Math.min(modelsDueAt, (modelsAskedAt ?? 0) + limits.samplePeriod))
      void refreshModels()
    },
    async close() {
      await Promise.all([asking.stop(), ...rounds.map((stop) => stop())])
      line.close()
      scraper.close()
    },
  }
}

/** A server that is well has a port for requests and a model. */
function canServe(closed: boolean, offered: readonly string[]): Evidence {
  if (closed) return { kind: 'refused' }
  return offered.length > 0 ? { kind: 'ready' } : { kind: 'bad', reason: 'none of its models is ready' }
}

/** What was said of it, of that what it has ready; a list that it does not give takes nothing away. */
const offeredModels = (told: readonly string[] | undefined, listed: readonly string[] | undefined): readonly string[] =>
  told === undefined
    ? (listed ?? [ANY_MODEL])
    : told.includes(ANY_MODEL) || listed === undefined
      ? told
      : told.filter((name) => listed.includes(name))

/** All that it has may be asked when all is offered. */
const probedModels = (told: readonly string[] | undefined, listed: readonly string[] | undefined): readonly string[] => {
  const offered = offeredModels(told, listed)
  return offered.includes(ANY_MODEL) ? (listed ?? []) : offered
}

/** A model that fails its probe is not offered. When none is left the endpoint as a whole is failed and says why, for the models that it had. */
function servedOf(told: readonly string[] | undefined, offered: readonly string[], well: readonly string[] | undefined): string[] {
  const left = well === undefined || offered.includes(ANY_MODEL) ? offered : offered.filter((name) => well.includes(name))
  return [...(left.length > 0 ? left : offered.length > 0 ? offered : (told ?? []))]
}

/** At once and at every report's time, except while it is still being asked. Returns its stop, which waits for the question under way. */
function atReports(beat: Beat, ask: () => Promise<void>): () => Promise<void> {
  let under: Promise<void> | undefined
  const turn = (): void => {
    under ??= ask().finally(() => {
      under = undefined
    })
  }
  turn()
  const stop = beat.atReports(turn)
  return async () => {
    stop()
    await under
  }
}
