/** `npm run bench`: measures Millrace beside other proxies on this machine, its memory over time, or where its time goes, and writes docs/ from that. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UsageError } from '../../core/edge/settings.ts'
import { CONTENDERS, compare, OURS } from './compare.ts'
import { buildLoadProgram, makeCertificate } from './load-program.ts'
import type { Bench } from './measure.ts'
import { memorySlope } from './memory.ts'
import { PEERS } from './peers/all.ts'
import { profileScenarios } from './profile.ts'
import { profileTables } from './profile-tables.ts'
import { publish, writePages } from './publish.ts'
import type { ComparisonRun } from './records.ts'
import { memoryText, ratioTable, scenarioTable, targetTable } from './report.ts'
import { SCENARIOS } from './scenarios.ts'
import { type BenchSettings, PROFILED, readBenchSettings, SECONDS_TO_PUBLISH } from './settings.ts'
import { summarise } from './statistics.ts'

const WARM_SECONDS = 1

const HELP = `Usage: npm run bench -- [options]

Measures Millrace beside other proxies on this machine: CPU per request and per message, latency, memory, behaviour when a backend dies.

  --which <names>      ${CONTENDERS.join(',')} (default: all)
  --scenarios <names>  ${SCENARIOS.map((one) => one.name).join(',')} (default: all)
  --seconds <n>        measured per scenario, peer and round (default: 3; below ${SECONDS_TO_PUBLISH} CPU time is mostly rounding)
  --rounds <n>         interleaved rounds, of which the median is shown (default: 3; what needs no median takes fewer)
  --quick              what has a target, one round; other options still choose
  --json <file>        writes every row and ratio
  --no-docs            leaves docs/ as it is; so does a run of a part

Instead of comparing:
  --memory             heap and resident set over --minutes <n> (default: 10) of mixed load, with their slopes
  --profile            where the worker's time goes in --scenarios (default: real,tls,paced,spread)
  --everything         the comparison, the profile and the memory run one after another: half an hour for all of docs/
  --page               writes docs/benchmarks.md and its charts again from the JSON in docs/

Beside it, on their own: node test/bench/turns.ts (how long turns of the event loop get while ten thousand endpoints come and go), node test/bench/checkouts.ts
(two checkouts by turns)

Needs Go (the load generator at both ends is grpc-go). The peers need:
${PEERS.map((one) => `  ${one.name.padEnd(12)} ${one.needs}`).join('\n')}

Scenarios:
${SCENARIOS.map((one) => `  ${one.name.padEnd(12)} ${one.about}`).join('\n')}

Examples:
  npm run bench -- --quick
  npm run bench -- --which millrace,envoy --scenarios real,paced --rounds 1
  npm run bench -- --memory --minutes 10
`

class Interrupted extends UsageError {}

const say = (line: string): void => void process.stderr.write(`${line}\n`)

function print(run: ComparisonRun, settings: BenchSettings): void {
  const scenarios = SCENARIOS.filter((one) => settings.scenarios.includes(one.name))
  const summaries = summarise(run.rows)
  for (const scenario of scenarios) console.log(`\n${scenario.name}: ${scenario.about}\n${scenarioTable(scenario, summaries)}`)
  if (run.ratios.length === 0) return
  const peers = settings.which.filter((name) => name !== OURS)
  console.log(`\n${OURS} / peer, below 1 is less:\n${ratioTable(scenarios, peers, run.ratios)}`)
  console.log(`\n${targetTable(run)}`)
}

async function remember(bench: Bench, { minutes, json, docsLeft }: BenchSettings): Promise<void> {
  const run = await memorySlope(bench, minutes, say)
  console.log(memoryText(run))
  say(publish('memory', run, json, docsLeft))
}

async function profile(bench: Bench, names: readonly string[], { json, docsLeft }: BenchSettings): Promise<void> {
  const scenarios = SCENARIOS.filter((one) => names.includes(one.name))
  const run = await profileScenarios(bench, scenarios, say)
  console.log(profileTables(run))
  say(publish('profile', run, json, docsLeft))
}

async function comparePeers(bench: Bench, settings: BenchSettings): Promise<void> {
  const run = await compare(bench, settings, say)
  print(run, settings)
  say(publish('compare', run, settings.json, settings.docsLeft ?? (run.ratios.length === 0 ? `${OURS} has no numbers` : undefined)))
}

async function runWhat(bench: Bench, settings: BenchSettings): Promise<void> {
  const { what } = settings
  if (what === 'compare' || what === 'everything') await comparePeers(bench, settings)
  if (what === 'profile' || what === 'everything')
    await profile(bench, what === 'profile' ? settings.scenarios : PROFILED.split(','), settings)
  if (what === 'memory' || what === 'everything') await remember(bench, settings)
}

async function main(): Promise<void> {
  const settings = readBenchSettings(
    process.argv.slice(2),
    CONTENDERS,
    SCENARIOS.map((one) => one.name),
  )
  if (settings.what === 'help') return void process.stdout.write(HELP)
  if (settings.what === 'page') return say(writePages())
  if (process.platform !== 'linux') throw new UsageError('the benchmark reads CPU time from /proc: it runs on Linux only')
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => interrupted.abort(new Interrupted('interrupted; nothing is written')))
  const loadProgram = await buildLoadProgram(say)
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'))
  try {
    const tls = await makeCertificate(loadProgram, folder)
    await runWhat({ loadProgram, folder, tls, seconds: settings.seconds, warmSeconds: WARM_SECONDS, signal: interrupted.signal }, settings)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

try {
  await main()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  say(`bench: ${error.message}`)
  process.exit(error instanceof Interrupted ? 130 : 64)
}
