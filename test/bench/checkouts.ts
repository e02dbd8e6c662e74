/**
 * `node test/bench/checkouts.ts BEFORE AFTER`: what a request costs in two checkouts of this repository, both proxies running side by side and asked by turns, a
 * second each, so that whatever else the machine does falls on both. What stays is the luck of each process (how its code was compiled): a checkout beside itself came out at 1.02 and 1.13, so
 * run it several times, and take less than a tenth for nothing.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { type Part, startChild } from '../../cli/child.ts'
import { buildLoadProgram, resultOf, startBackend } from './load-program.ts'
import { readUsage } from './proc.ts'
import { SCENARIOS } from './scenarios.ts'
import { median } from './statistics.ts'

/** One backend, one worker, callers in clear text, compared by CPU. */
const COMPARED = SCENARIOS.filter(
  ({ compare, processes, tls, peers }) => compare.startsWith('cpu') && processes === 1 && tls !== true && peers === undefined,
)

const HELP = `Usage: node test/bench/checkouts.ts BEFORE AFTER [options]

CPU of a request, or of a message, in two checkouts of this repository, each with its packages installed.

  --scenario <name>  ${COMPARED.map(({ name }) => name).join(',')} (default: real)
  --turns <n>        of a second, for each (default: 12)

Example:
  git worktree add ../before HEAD~3 && (cd ../before && npm ci)
  node test/bench/checkouts.ts ../before .
`

const PEER = 'test/bench/peers/millrace.ts'
const WARM_UP = '4s'
const PATIENCE_MS = 60_000

type Contender = { readonly checkout: string; readonly proxy: Part; readonly costs: number[] }

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { scenario: { type: 'string', default: 'real' }, turns: { type: 'string', default: '12' }, help: { type: 'boolean' } },
})
const scenario = COMPARED.find(({ name }) => name === values.scenario)
const turns = Number(values.turns)
if (values.help === true || positionals.length !== 2 || scenario === undefined || !(turns >= 1)) {
  process.stderr.write(HELP)
  process.exit(values.help === true ? 0 : 2)
}

const stranger = positionals.find((checkout) => !existsSync(resolve(checkout, PEER)))
if (stranger !== undefined) {
  process.stderr.write(`checkouts: ${stranger} is no checkout of this repository: it has no ${PEER}\n`)
  process.exit(2)
}

const flags = scenario.load(1, 1)
const perMessage = scenario.compare === 'cpuPerMessageMicros'
const program = await buildLoadProgram((line) => process.stderr.write(`${line}\n`))
const folder = mkdtempSync(join(tmpdir(), 'millrace-checkouts-'))
try {
  const contenders = await Promise.all(positionals.map(start))
  for (const one of contenders) await costOf(one, WARM_UP)
  for (let turn = 0; turn < turns; turn++)
    for (const one of turn % 2 === 0 ? contenders : contenders.toReversed()) one.costs.push(await costOf(one, '1s'))
  const [before = Number.NaN, after = Number.NaN] = contenders.map(({ costs }) => median(costs))
  for (const { checkout, costs } of contenders)
    console.log(`${median(costs)?.toFixed(2)} µs a ${perMessage ? 'message' : 'request'} (${spread(costs)})  ${checkout}`)
  console.log(`${values.scenario}: the second is ${(after / before).toFixed(2)} × the first`)
  for (const { proxy } of contenders) await proxy.stop()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exit(0)

/** Each by its own checkout's way of starting it. */
async function start(checkout: string, at: number): Promise<Contender> {
  const url = pathToFileURL(resolve(checkout, PEER)).href
  const { startMillrace } = (await import(url)) as typeof import('./peers/millrace.ts')
  const backend = await startBackend(program, `b${at}`, scenario?.ports ?? 1, scenario?.backend(1) ?? [])
  const own = mkdtempSync(join(folder, 'proxy-'))
  return { checkout, proxy: await startMillrace({ backends: backend.addresses, folder: own, tls: undefined, workers: 1 }), costs: [] }
}

async function costOf({ proxy }: Contender, duration: string): Promise<number> {
  const before = readUsage(proxy.pid)
  const callers = await startChild('callers', program, [...flags, '-addr', proxy.fields.listen ?? '', '-dur', duration])
  const { requests, messages } = await resultOf(callers, PATIENCE_MS)
  return ((readUsage(proxy.pid).cpuSeconds - before.cpuSeconds) * 1e6) / (perMessage ? messages : requests)
}

function spread(costs: readonly number[]): string {
  return `${Math.min(...costs).toFixed(1)} to ${Math.max(...costs).toFixed(1)}`
}
