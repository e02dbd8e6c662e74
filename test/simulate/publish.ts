/**
 * `node test/simulate/publish.ts [--loads 0.9,1] [--seeds 1,2,3] [scenario …]`: plays the shipped scenarios, all of them and at all their loads unless named, takes what it played
 * into docs/routing.json, and writes the charts and the tables of docs/routing.md, which is written by hand but for what stands between its marks.
 */

import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { showNumber, table } from '../../core/show/table.ts'
import { CHOOSERS, type ChooserName, chooserOf, isPolicy } from '../../sim/simulate/choosers.ts'
import { loadChart } from '../../sim/simulate/report/charts.ts'
import { middleOf } from '../../sim/simulate/report/middle.ts'
import type { Results, Row } from '../../sim/simulate/report/results.ts'
import { Run } from '../../sim/simulate/run.ts'
import { capacityPerSecond } from '../../sim/simulate/scenario/fleet-capacity.ts'
import { parseScenario } from '../../sim/simulate/scenario/read-scenario.ts'

const SCENARIOS = fileURLToPath(new URL('../../sim/scenarios/', import.meta.url))
const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url))
const JSON_FILE = `${DOCS}routing.json`
const PAGE_FILE = `${DOCS}routing.md`
const SHOWN_LOAD = 0.9

const { values, positionals: wanted } = parseArgs({
  options: { loads: { type: 'string' }, seeds: { type: 'string' } },
  allowPositionals: true,
})
const loads = values.loads?.split(',').map(Number)
/** Of each measure the middle one is shown. */
const SEEDS = (values.seeds ?? '1,2,3').split(',').map(Number)

function play(file: string, before: Results | undefined): Results {
  const scenario = parseScenario(readFileSync(`${SCENARIOS}${file}`, 'utf8'), file)
  const { name, about, ttftGoalMs } = scenario
  const played: Row[] = []
  for (const load of loads ?? scenario.loads)
    for (const policy of CHOOSERS) {
      process.stderr.write(`${name}: ${policy} at ${load}\n`)
      const runs = SEEDS.map((seed) => new Run(scenario, { load, seed, chooser: () => chooserOf(policy) }).play().measures)
      played.push({ policy, load, measures: middleOf(runs) })
    }
  const again = new Set(played.map(({ load }) => load))
  const rows = [...(before?.rows ?? []).filter(({ load }) => !again.has(load)), ...played].toSorted((a, b) => a.load - b.load)
  return { scenario: name, about, seed: SEEDS[0] as number, capacityPerSecond: capacityPerSecond(scenario), ttftGoalMs, rows }
}

const known = (): Results[] => (existsSync(JSON_FILE) ? (JSON.parse(readFileSync(JSON_FILE, 'utf8')) as Results[]) : [])

const at = ({ rows }: Results, policy: string) => rows.find((row) => row.policy === policy && row.load === SHOWN_LOAD)?.measures
const p99 = (results: Results, policy: string): number => at(results, policy)?.ttftMs?.p99 ?? Number.NaN

/** Of each scenario the p99 of every way of choosing, and how the default stands to the best rival. */
function overview(all: readonly Results[]): string {
  const names = all[0]?.rows.filter(({ load }) => load === SHOWN_LOAD).map(({ policy }) => policy) ?? []
  const rows = all.map((results) => {
    const best = names
      .filter((name) => !isPolicy(name as ChooserName))
      .map((name) => [name, p99(results, name)] as const)
      .reduce((a, b) => (b[1] < a[1] ? b : a))
    const ratio = p99(results, 'LEAST_WAIT') / best[1]
    return [results.scenario, ...names.map((name) => showNumber(Math.round(p99(results, name)))), `${ratio.toFixed(2)} × ${best[0]}`]
  })
  return table(['p99 ms', ...names, 'LEAST_WAIT to the best rival'], rows)
}

function writePage(all: readonly Results[]): void {
  const [begins, ends] = ['<!-- simulated: written by test/simulate/publish.ts -->', '<!-- simulated ends -->']
  const page = readFileSync(PAGE_FILE, 'utf8')
  const [from, to] = [page.indexOf(begins), page.indexOf(ends)]
  if (from < 0 || to < from) throw new Error(`docs/routing.md has lost its lines "${begins}" and "${ends}"`)
  const charts = all.map(({ scenario, about }) => `**${scenario}.** ${about}\n\n![${scenario}](routing-${scenario}.svg)`)
  writeFileSync(PAGE_FILE, `${page.slice(0, from + begins.length)}\n\n${overview(all)}\n\n${charts.join('\n\n')}\n\n${page.slice(to)}`)
}

const results = new Map(known().map((one) => [one.scenario, one]))
for (const file of globSync('*.yaml', { cwd: SCENARIOS }).sort()) {
  const name = file.replace('.yaml', '')
  if (wanted.length === 0 || wanted.includes(name)) results.set(name, play(file, results.get(name)))
}
const all = [...results.values()].toSorted((a, b) => a.scenario.localeCompare(b.scenario))
writeFileSync(JSON_FILE, `${JSON.stringify(all)}\n`)
for (const one of all) writeFileSync(`${DOCS}routing-${one.scenario}.svg`, loadChart(one))
writePage(all)
