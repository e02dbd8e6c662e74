/** Writes docs/: the JSON of a run, and then every page and chart that is made of the JSON that lies there. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ZodType } from 'zod'
import { UsageError } from '../../core/edge/settings.ts'
import { costChart, memoryChart, ratioChart } from './charts.ts'
import { docsPage } from './docs-page.ts'
import { profileTables } from './profile-tables.ts'
import { comparisonRun, memoryRun, profileRun, toJson } from './records.ts'
import { SCENARIOS, type Scenario } from './scenarios.ts'

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url))

export const FILES = {
  compare: 'benchmarks.json',
  memory: 'benchmarks-memory.json',
  profile: 'performance-profile.json',
} as const

/** docs/performance.md is written by hand but for what stands between these. */
const PROFILE_BEGINS = '<!-- profile: written by npm run bench -- --profile -->'
const PROFILE_ENDS = '<!-- profile ends -->'

export function publish(what: keyof typeof FILES, run: object, json: string | undefined, left: string | undefined): string {
  const numbers = toJson(run)
  if (json !== undefined) writeFileSync(json, numbers)
  if (left !== undefined) return `docs/ is left as it is: ${left}`
  mkdirSync(DOCS, { recursive: true })
  writeFileSync(join(DOCS, FILES[what]), numbers)
  return writePages()
}

function read<T>(file: string, shape: ZodType<T>): T | undefined {
  const path = join(DOCS, file)
  if (!existsSync(path)) return undefined
  const found = shape.safeParse(JSON.parse(readFileSync(path, 'utf8')))
  if (!found.success)
    throw new UsageError(`docs/${file} is not what a run writes: ${found.error.issues[0]?.message}; run the benchmark again`)
  return found.data
}

/** Says what was written. */
export function writePages(): string {
  const comparison = read(FILES.compare, comparisonRun)
  if (comparison === undefined) throw new UsageError(`docs/${FILES.compare} is not there yet: npm run bench writes it`)
  const memory = read(FILES.memory, memoryRun)
  const profile = read(FILES.profile, profileRun)
  const of = (...names: readonly string[]): Scenario[] => SCENARIOS.filter((one) => names.includes(one.name))
  const charts: Readonly<Record<string, string>> = {
    'benchmarks-ratios.svg': ratioChart(comparison, SCENARIOS),
    'benchmarks-cpu.svg': costChart(
      comparison,
      of('real', 'tls', 'large', 'burst', 'paced', 'spread'),
      'CPU of the proxy, user and kernel',
    ),
    'benchmarks-latency.svg': costChart(comparison, of('open', 'busy', 'gaps', 'cancel', 'idle'), 'Latency, and memory of an idle stream'),
    ...(memory === undefined ? {} : { 'benchmarks-memory.svg': memoryChart(memory) }),
  }
  for (const [name, svg] of Object.entries(charts)) writeFileSync(join(DOCS, name), svg)
  writeFileSync(join(DOCS, 'benchmarks.md'), docsPage(comparison, memory, SCENARIOS))
  if (profile !== undefined) writeProfile(profileTables(profile))
  return `docs/benchmarks.md, ${Object.keys(charts).join(', ')}${profile === undefined ? '' : ' and docs/performance.md'} are written`
}

function writeProfile(tables: string): void {
  const path = join(DOCS, 'performance.md')
  const page = existsSync(path) ? readFileSync(path, 'utf8') : `# Performance\n\n${PROFILE_BEGINS}\n${PROFILE_ENDS}\n`
  const [begins, ends] = [page.indexOf(PROFILE_BEGINS), page.indexOf(PROFILE_ENDS)]
  if (begins < 0 || ends < begins) throw new UsageError(`docs/performance.md has lost its lines "${PROFILE_BEGINS}" and "${PROFILE_ENDS}"`)
  writeFileSync(path, `${page.slice(0, begins + PROFILE_BEGINS.length)}\n\n${tables}\n\n${page.slice(ends)}`)
}
