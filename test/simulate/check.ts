/** `npm run simulate:check`: the same scenarios in the simulation and on real processes, side by side. Ends with 1 when a p99 differs by more than a fifth. */
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { showNumber, table } from '../../core/show/table.ts'
import { chooserOf } from '../../sim/simulate/choosers.ts'
import { type Quantiles, quantiles } from '../../sim/simulate/report/measures.ts'
import { Run } from '../../sim/simulate/run.ts'
import { parseScenario } from '../../sim/simulate/scenario/read-scenario.ts'
import type { Scenario } from '../../sim/simulate/scenario/scenario.ts'
import { playForReal, type Seen } from './real-run.ts'

const FOLDER = fileURLToPath(new URL('.', import.meta.url))
const SEED = 7
/** The traffic is one and the same; what else is left to chance is played so often, and the middle taken. */
const PLAYS = 9
const APART_MAX = 0.2

const HEAD = ['scenario', 'load', 'requests', '', 'real p50', 'simulated', 'real p99', 'simulated', 'p99 apart']

type Simulated = { readonly ttftMs: Quantiles; readonly latencyMs: Quantiles }

function simulated(scenario: Scenario, load: number): Simulated {
  const plays = Array.from({ length: PLAYS }, (_, at) => {
    const { measures } = new Run(scenario, { load, seed: SEED, chance: at + 1, chooser: () => chooserOf('LEAST_WAIT') }).play()
    return measures
  })
  const middle = (of: (play: (typeof plays)[number]) => number | undefined): number =>
    quantiles(plays.map((play) => of(play) ?? Number.NaN))?.p50 ?? Number.NaN
  return {
    ttftMs: { p50: middle((play) => play.ttftMs?.p50), p99: middle((play) => play.ttftMs?.p99) },
    latencyMs: { p50: middle((play) => play.latencyMs?.p50), p99: middle((play) => play.latencyMs?.p99) },
  }
}

const apartOf = (real: Quantiles, played: Quantiles): number => played.p99 / real.p99 - 1

function rowsOf({ name }: Scenario, load: number, real: Seen, played: Simulated): (readonly string[])[] {
  return (['ttftMs', 'latencyMs'] as const).map((what) => {
    const apart = apartOf(real[what], played[what])
    return [
      ...[name, load.toFixed(2), showNumber(real.requests), what === 'ttftMs' ? 'TTFT ms' : 'latency ms'],
      ...[real[what].p50, played[what].p50, real[what].p99, played[what].p99].map((value) => showNumber(Math.round(value))),
      `${apart < 0 ? '−' : '+'}${Math.abs(100 * apart).toFixed(1)} %`,
    ]
  })
}

const wanted = process.argv.slice(2)
const rows: (readonly string[])[] = []
let far = 0
for (const file of globSync('*.yaml', { cwd: FOLDER }).sort()) {
  const scenario = parseScenario(readFileSync(`${FOLDER}${file}`, 'utf8'), file)
  if (wanted.length > 0 && !wanted.includes(scenario.name)) continue
  for (const load of scenario.loads) {
    process.stderr.write(`${scenario.name} at ${load}: ${scenario.warmUpSeconds + scenario.seconds} s on real processes\n`)
    const real = await playForReal(scenario, load, SEED)
    const played = simulated(scenario, load)
    if (real.failed > 0) process.stderr.write(`${real.failed} requests were not answered\n`)
    rows.push(...rowsOf(scenario, load, real, played))
    if (Math.abs(apartOf(real.ttftMs, played.ttftMs)) > APART_MAX) far++
  }
}
process.stdout.write(`${table(HEAD, rows)}\n`)
process.exitCode = far > 0 ? 1 : 0
