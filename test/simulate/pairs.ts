/**
 * `node test/simulate/pairs.ts [--seeds 5] [--load 0.9] [scenario …]`: LEAST_WAIT beside others under the very same traffic. Long tails make a p99 differ by
 * times from seed to seed, so a ratio is taken within each seed; shown are the geometric mean over the seeds, the least and the most.
 */
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { table } from '../../core/show/table.ts'
import { type ChooserName, chooserOf } from '../../sim/simulate/choosers.ts'
import { Run } from '../../sim/simulate/run.ts'
import { parseScenario } from '../../sim/simulate/scenario/read-scenario.ts'

const SCENARIOS = fileURLToPath(new URL('../../sim/scenarios/', import.meta.url))
const OTHERS: readonly ChooserName[] = ['LEAST_REQUEST', 'capacity-rr', 'peak-ewma', 'epp', 'smg-cache-aware', 'smg-wait']

const { values, positionals: wanted } = parseArgs({
  options: { seeds: { type: 'string', default: '5' }, load: { type: 'string', default: '0.9' } },
  allowPositionals: true,
})
const load = Number(values.load)

const rows: string[][] = []
for (const file of globSync('*.yaml', { cwd: SCENARIOS }).sort()) {
  const scenario = parseScenario(readFileSync(`${SCENARIOS}${file}`, 'utf8'), file)
  if (wanted.length > 0 && !wanted.includes(scenario.name)) continue
  const p99 = (policy: ChooserName, seed: number): number =>
    new Run(scenario, { load, seed, chooser: () => chooserOf(policy) }).play().measures.ttftMs?.p99 ?? Number.NaN
  const seeds = Array.from({ length: Number(values.seeds) }, (_, at) => at + 1)
  const ours = seeds.map((seed) => p99('LEAST_WAIT', seed))
  const cells = OTHERS.map((other) => {
    process.stderr.write(`${scenario.name}: ${other}\n`)
    const ratios = seeds.map((seed, at) => (ours[at] ?? Number.NaN) / p99(other, seed))
    const mean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length)
    return `${mean.toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`
  })
  rows.push([scenario.name, ...cells])
}
process.stdout.write(`${table(['LEAST_WAIT /', ...OTHERS], rows)}\n`)
