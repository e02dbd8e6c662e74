/**
 * `node test/simulate/overload.ts [--policy LEAST_WAIT] [--seeds 1,2,3] [--proxies 2]`: what the queues of proxies do for a fleet that is asked for more than it can do.
 * Each way of admission meets the same traffic; of several seeds the middle is shown.
 */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Admission } from '../../core/mesh-snapshot.ts'
import { showNumber, table, UNKNOWN } from '../../core/show/table.ts'
import { CHOOSERS, type ChooserName, chooserOf } from '../../sim/simulate/choosers.ts'
import { middleOf } from '../../sim/simulate/report/middle.ts'
import { whyRefused } from '../../sim/simulate/report/results.ts'
import { Run } from '../../sim/simulate/run.ts'
import { capacityPerSecond } from '../../sim/simulate/scenario/fleet-capacity.ts'
import { parseScenario } from '../../sim/simulate/scenario/read-scenario.ts'

const FILE = new URL('../../sim/scenarios/overload.yaml', import.meta.url)
const LOADS = [1, 1.1, 1.2]
const HEAD = ['load', 'admission', 'good/s', 'of capacity', 'TTFT p50 ms', 'p99 ms', 'refused', 'late', 'why refused']

const { values } = parseArgs({
  options: {
    policy: { type: 'string', default: 'LEAST_WAIT' },
    seeds: { type: 'string', default: '1,2,3' },
    proxies: { type: 'string' },
  },
})
const seeds = values.seeds.split(',').map(Number)
const isCount = (value: number): boolean => Number.isInteger(value) && value >= 1
const wrong = CHOOSERS.every((name) => name !== values.policy)
  ? `--policy ${values.policy}: there are ${CHOOSERS.join(', ')}`
  : !seeds.every(isCount)
    ? `--seeds ${values.seeds}: wants numbers from 1, for example 1,2,3`
    : values.proxies !== undefined && !isCount(Number(values.proxies))
      ? `--proxies ${values.proxies}: wants a number from 1`
      : undefined
if (wrong !== undefined) {
  process.stderr.write(`overload: ${wrong}\n`)
  process.exit(2)
}
const read = parseScenario(readFileSync(FILE, 'utf8'), 'overload.yaml')
const scenario = { ...read, proxies: Number(values.proxies ?? read.proxies) }
const capacity = capacityPerSecond(scenario)

const ways: readonly (readonly [name: string, admission: Admission | undefined])[] = [
  ['none', undefined],
  ['{}', {}],
  [JSON.stringify(read.admission), read.admission],
]

const rows = LOADS.flatMap((load) =>
  ways.map(([name, admission]) => {
    process.stderr.write(`${name} at ${load}\n`)
    const chooser = () => chooserOf(values.policy as ChooserName)
    const measures = middleOf(seeds.map((seed) => new Run({ ...scenario, admission }, { load, seed, chooser }).play().measures))
    const { ttftMs, goodPerSecond, refused, late, requests } = measures
    const ms = (value: number | undefined): string => (value === undefined ? UNKNOWN : showNumber(Math.round(value)))
    const share = (count: number): string => `${((100 * count) / requests).toFixed(1)} %`
    return [
      ...[load.toFixed(1), name, goodPerSecond.toFixed(1), (goodPerSecond / capacity).toFixed(2), ms(ttftMs?.p50), ms(ttftMs?.p99)],
      ...[share(refused), share(late), whyRefused(measures)],
    ]
  }),
)
process.stdout.write(`${table(HEAD, rows)}\n`)
