/** Reads what an inference server says of its load: its metrics page at every turn, a large one less often, and what else its kind tells. What was not read for too long is unknown. */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import type { SourcedLoad } from '../../core/load-vector.ts'
import { type Millis, millis } from '../../core/units.ts'
import { KINDS } from '../backend/kinds.ts'
import { type DatedReading, loadOf, withReading } from '../backend/load-of.ts'
import { rateSpanOf, readLoad } from '../backend/read-load.ts'
import type { Reading } from '../backend/reading.ts'
import { type ServerSpec, urlOf } from '../discovery/server-spec.ts'
import { type HttpAnswer, httpAsk, keptConnection, pageAt } from './http-ask.ts'

/** How an attempt to read the metrics page ended. `status` is any other than 200. */
export const SCRAPES = ['read', 'status', 'refused', 'timeout', 'too-large', 'too-many-samples', 'broken'] as const
export type Scrape = (typeof SCRAPES)[number]

export type LoadScraper = {
  scrape(models: readonly string[]): Promise<void>
  load(): SourcedLoad
  close(): void
}

export type ScraperOptions = {
  readonly id: string
  readonly spec: ServerSpec
  readonly clock: Clock
  readonly log: Logger
  readonly onScrape?: ((scrape: Scrape) => void) | undefined
  readonly onReading?: (at: Millis, reading: Reading) => void
}

const UNKNOWN: SourcedLoad = { load: {}, sources: {} }
const ANY_MODEL = '*'

export function loadScraper({ id, spec, clock, log, onScrape, onReading }: ScraperOptions): LoadScraper {
  const page = KINDS[spec.kind].load
  const span = rateSpanOf(spec.kind)
  const kept = keptConnection()
  const metricsPage = spec.metricsUrl === undefined ? undefined : pageAt(spec.metricsUrl)
  let readings: readonly DatedReading[] = []
  let known = UNKNOWN
  let bodies: readonly string[] = []
  let bodiesAt: Millis | undefined
  let notBefore = millis(0)

  const readBodies = async (models: readonly string[]): Promise<void> => {
    if (page === undefined || (page.lasting && bodiesAt !== undefined && clock.now() - bodiesAt < limits.fullReportPeriod)) return
    bodiesAt = clock.now()
    bodies = await Promise.all(urlsOf(spec, models).map(bodyOf))
  }

  const readPage = async (): Promise<string | undefined> => {
    if (metricsPage === undefined) return undefined
    const answer = await httpAsk(metricsPage, limits.probeTimeout, limits.metricsPageMax, undefined, kept)
    if (answer.kind === 'answer' && answer.status === 200) return answer.body
    unread(answer.kind === 'answer' ? 'status' : answer.kind, shown(answer))
    return undefined
  }

  const unread = (scrape: Scrape, detail: object): void => {
    onScrape?.(scrape)
    if (scrape !== 'refused') log.debug({ endpoint: id, url: spec.metricsUrl, scrape, ...detail }, 'metrics.unread')
  }

  return {
    async scrape(models) {
      if (clock.now() < notBefore) return
      const [text] = await Promise.all([readPage(), readBodies(models)])
      if (text === undefined && (page?.lasting !== false || bodies.every((body) => body === ''))) return
      if (text !== undefined && text.length > limits.largePage) notBefore = millis(clock.now() + limits.largePagePeriod)
      const { reading, left } = readLoad(spec.kind, text ?? '', bodies)
      if (left > 0) unread('too-many-samples', { left })
      else if (text !== undefined) onScrape?.('read')
      const at = clock.now()
      readings = withReading(readings, { at, reading }, span)
      known = loadOf(readings, span)
      onReading?.(at, reading)
    },
    load() {
      const last = readings.at(-1)
      return last === undefined || clock.now() - last.at > limits.loadAgeMax ? UNKNOWN : known
    },
    close: () => kept.destroy(),
  }
}

/** None when the kind asks by model and there are too many to ask, or nobody knows which. */
function urlsOf(spec: ServerSpec, models: readonly string[]): readonly string[] {
  const page = KINDS[spec.kind].load
  if (page === undefined) return []
  const asked = page.path.includes('{model}') ? models : ['']
  if (asked.length > limits.loadPagesMax || asked.includes(ANY_MODEL)) return []
  return asked.flatMap((model) => urlOf(spec, page, model) ?? [])
}

/** '' for one that cannot be read. */
async function bodyOf(url: string): Promise<string> {
  const answer = await httpAsk(url, limits.probeTimeout, limits.localMessageMax)
  return answer.kind === 'answer' && answer.status === 200 ? answer.body : ''
}

const shown = (answer: HttpAnswer) => (answer.kind === 'answer' ? { status: answer.status } : answer)
