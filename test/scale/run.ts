/** `npm run scale`: what a control plane costs at fleet size, and how fast it tells of a failure; writes docs/scale.md and its JSON. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { UsageError } from '../../core/edge/settings.ts'
import { originOf } from '../bench/machine.ts'
import { toJson } from '../bench/records.ts'
import { failuresAtProxies, failuresOneByOne, wholeFleetAtOnce } from './latency.ts'
import { measure } from './measure.ts'
import { latencyTable, rowsTable, scalePage } from './page.ts'
import { PLANS, type Plan, QUICK, TABLES } from './plans.ts'
import { profilePlan } from './profile.ts'
import { type LatencyRow, type ScaleRow, type ScaleRun, scaleRun } from './records.ts'
import { PARTS, readScaleSettings, type ScaleSettings } from './settings.ts'
import type { Load } from './stage.ts'

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url))
const JSON_FILE = join(DOCS, 'scale.json')
const PAGE_FILE = join(DOCS, 'scale.md')

const HELP = `Usage: npm run scale -- [options]

Measures one control plane on a real nats-server: CPU per report and per push, memory, delays, with up to 10,000 nodes and 1,000 proxies; and how
long a failure takes to every proxy.

  --tables <names>   ${PARTS.join(',')} (default: all)
  --seconds <n>      measured per row (default and least to publish: 8)
  --quick            a look in less than a minute; writes no docs
  --profile          where the time goes in the last row of each of --tables, by function
  --page             writes docs/scale.md again from docs/scale.json
  --json <file>      writes the rows, each as it is measured
  --no-docs          leaves docs/ as it is; so does a run of a part

Example:
  npm run scale -- --tables whole --seconds 20 --no-docs
`

const say = (line: string): void => void process.stderr.write(`${line}\n`)

const LISTENED = { nodes: 10_000, moving: 1_000, flapsPerSecond: 0, clients: 100, rows: 50 }
const SMALLER_LISTENED = [
  { ...LISTENED, nodes: 1_000, moving: 100 },
  { ...LISTENED, nodes: 3_000, moving: 300 },
]

const of = ({ nodes }: Load): string => `of ${nodes.toLocaleString('en')} nodes`

/** Each row as it is measured: a run that is broken off leaves those that it had. */
async function* latencies({ quick, spans: { warmSeconds } }: ScaleSettings): AsyncGenerator<LatencyRow> {
  for (const load of quick ? SMALLER_LISTENED.slice(0, 1) : [...SMALLER_LISTENED, LISTENED])
    yield await failuresOneByOne(`one node after the other ${of(load)}`, load, quick ? 20 : 100, warmSeconds)
  if (quick) return
  yield await wholeFleetAtOnce(`all ${of(LISTENED)} at once`, LISTENED, warmSeconds)
  // Proxies that take in the loads of a thousand nodes beside one another would want the machine for themselves.
  const still = { ...LISTENED, moving: 100, clients: 0 }
  yield await failuresAtProxies(`one node ${of(LISTENED)}, again and again; 100 loads move`, still, 10, 20)
}

async function measureAll(settings: ScaleSettings): Promise<ScaleRun> {
  const rows: ScaleRow[] = []
  const latency: LatencyRow[] = []
  const run: ScaleRun = { ...(await originOf()), spans: settings.spans, rows, latency }
  const keep = (line: string): void => {
    say(line)
    if (settings.json !== undefined) writeFileSync(settings.json, toJson(run))
  }
  for (const plan of (settings.quick ? QUICK : PLANS).filter((one) => settings.tables.includes(one.table))) {
    const row = await measure(plan, settings.spans)
    rows.push(row)
    keep(`${row.table}, ${row.name}: ${(row.coreShare * 100).toFixed(1)} % of a core`)
  }
  if (settings.tables.includes('latency'))
    for await (const row of latencies(settings)) {
      latency.push(row)
      keep(`${row.name}, ${row.listeners}: p99 ${row.p99Ms.toFixed(1)} ms`)
    }
  return run
}

function print(run: ScaleRun): void {
  for (const name of TABLES) {
    const rows = run.rows.filter((row) => row.table === name)
    if (rows.length > 0) console.log(`\n${name}\n${rowsTable(name, rows)}`)
  }
  if (run.latency.length > 0) console.log(`\nlatency\n${latencyTable(run.latency)}`)
}

async function profile(settings: ScaleSettings): Promise<void> {
  const lasts = TABLES.flatMap((name): Plan[] => {
    const last = settings.tables.includes(name) ? PLANS.findLast((plan) => plan.table === name) : undefined
    return last === undefined ? [] : [last]
  })
  for (const plan of lasts) {
    const lines = await profilePlan(plan, settings.spans.warmSeconds, settings.spans.seconds)
    console.log(`\n${plan.table}, ${plan.name}\n${lines.join('\n')}`)
  }
}

function writePage(): string {
  if (!existsSync(JSON_FILE)) throw new UsageError('docs/scale.json is not there yet: npm run scale writes it')
  const run = scaleRun.safeParse(JSON.parse(readFileSync(JSON_FILE, 'utf8')))
  if (!run.success) throw new UsageError(`docs/scale.json is not what a run writes: ${run.error.issues[0]?.message}; run it again`)
  writeFileSync(PAGE_FILE, scalePage(run.data))
  return 'docs/scale.md is written'
}

async function main(): Promise<void> {
  const settings = readScaleSettings(process.argv.slice(2))
  if (settings.what === 'help') return void process.stdout.write(HELP)
  if (settings.what === 'page') return say(writePage())
  if (process.platform !== 'linux') throw new UsageError('it reads CPU time from /proc: it runs on Linux only')
  if (settings.what === 'profile') return profile(settings)
  const run = await measureAll(settings)
  print(run)
  if (settings.docsLeft !== undefined) return say(`docs/ is left as it is: ${settings.docsLeft}`)
  writeFileSync(JSON_FILE, toJson(run))
  say(writePage())
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => {
    say('scale: interrupted; nothing is written')
    // Whoever was started ends with this process.
    process.exit(130)
  })
try {
  await main()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  say(`scale: ${error.message}`)
  process.exit(64)
}
