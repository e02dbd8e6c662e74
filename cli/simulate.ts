/** `millrace simulate`: how policies would do on a fleet, in virtual time, with the product's own code deciding. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { flag, readSettings, UsageError, wholeNumber } from '../core/edge/settings.ts'
import { showNumber } from '../core/show/table.ts'
import { CHOOSERS, type ChooserName, chooserOf } from '../sim/simulate/choosers.ts'
import { loadChart } from '../sim/simulate/report/charts.ts'
import { type Results, type Row, resultsTable } from '../sim/simulate/report/results.ts'
import { Run } from '../sim/simulate/run.ts'
import { capacityPerSecond } from '../sim/simulate/scenario/fleet-capacity.ts'
import { parseScenario } from '../sim/simulate/scenario/read-scenario.ts'
import type { Scenario } from '../sim/simulate/scenario/scenario.ts'
import type { TrafficSource } from '../sim/simulate/workload/arrival.ts'
import { parseRecords, replay } from '../sim/simulate/workload/replay.ts'

/** From the sources and from dist/ alike: the package carries the scenarios once, at their place in the source tree. */
const SHIPPED = fileURLToPath(new URL(import.meta.filename.endsWith('.ts') ? '../sim/scenarios/' : '../../sim/scenarios/', import.meta.url))

const shippedNames = (): readonly string[] =>
  readdirSync(SHIPPED)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => file.replace('.yaml', ''))
    .sort()

const list = (text: string): readonly string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')

const names = z.string().transform((text, context) => {
  const found = list(text)
  const stranger = found.find((name) => !(CHOOSERS as readonly string[]).includes(name))
  if (found.length > 0 && stranger === undefined) return found as readonly ChooserName[]
  context.addIssue({ code: 'custom', message: `${stranger ?? 'nothing'} is no policy; there are ${CHOOSERS.join(', ')}` })
  return z.NEVER
})
const loads = z.string().transform((text, context) => {
  const found = list(text).map(Number)
  if (found.length > 0 && found.every((load) => load >= 0.01 && load <= 5)) return found
  context.addIssue({ code: 'custom', message: 'wants shares of the capacity by commas, each 0.01 to 5, for example 0.5,0.9' })
  return z.NEVER
})

const readSimulateSettings = (argv: readonly string[]) =>
  readSettings(
    {
      name: 'simulate',
      about: `Plays a fleet in virtual time, with the product's own agents, control loop and routing deciding, and compares policies.\nShipped scenarios: ${shippedNames().join(', ')}.\nPolicies of the product: those in capitals; the others are rivals: ${CHOOSERS.join(', ')}.`,
      example: 'millrace simulate --scenario mixed-gpus --loads 0.7,0.9 --policies LEAST_WAIT,capacity-rr',
      settings: {
        scenario: {
          value: 'name|file',
          about: 'a shipped scenario, or a YAML or JSON file',
          schema: z.string().min(1),
          fallback: 'mixed-gpus',
        },
        policies: { value: 'names', about: 'by commas (default: all)', schema: names },
        loads: { value: 'shares', about: "of the fleet's computed capacity, by commas (default: the scenario's)", schema: loads },
        replay: {
          value: 'file',
          about: "traffic of recorded requests, from millrace admin explain --json, on the scenario's fleet",
          schema: z.string().min(1),
        },
        seed: { value: 'n', about: 'the same seed plays the same run', schema: wholeNumber(1, 1_000_000), fallback: 1 },
        svg: { value: 'folder', about: 'writes a chart over the loads, as <scenario>.svg', schema: z.string().min(1) },
        json: { about: 'prints the numbers as JSON', schema: flag, fallback: false },
      },
    },
    argv,
  )

type Settings = ReturnType<typeof readSimulateSettings>

export async function main(argv: readonly string[]): Promise<void> {
  const settings = readSimulateSettings(argv)
  const scenario = readScenario(settings.scenario)
  const results = simulate(scenario, settings)
  if (settings.svg !== undefined) {
    mkdirSync(settings.svg, { recursive: true })
    writeFileSync(join(settings.svg, `${scenario.name}.svg`), loadChart(results))
  }
  process.stdout.write(settings.json ? `${JSON.stringify(results, null, 2)}\n` : textOf(results))
}

function readScenario(named: string): Scenario {
  const path = shippedNames().includes(named) ? join(SHIPPED, `${named}.yaml`) : named
  return parseScenario(readText(path, `--scenario ${named}`, `, and shipped are ${shippedNames().join(', ')}`), path)
}

function readText(path: string, setting: string, cure = ''): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new UsageError(`${setting}: ${missing ? `there is no such file${cure}` : (error as Error).message}`)
  }
}

/** Undefined: the scenario's own. */
function recordedTraffic(path: string | undefined, { workload }: Scenario): TrafficSource | undefined {
  if (path === undefined) return undefined
  const records = parseRecords(readText(path, `--replay ${path}`), path)
  return (rate, from, draw) => replay(records, workload.output, rate, from, draw)
}

function simulate(scenario: Scenario, { policies = CHOOSERS, loads: wanted, seed, replay: recorded }: Settings): Results {
  const traffic = recordedTraffic(recorded, scenario)
  const rows: Row[] = []
  const all = (wanted ?? scenario.loads).flatMap((load) => policies.map((policy) => ({ load, policy })))
  const several = scenario.workload.tenants.length > 1
  let events = 0
  const began = performance.now()
  for (const [at, { load, policy }] of all.entries()) {
    const run = new Run(scenario, { load, seed, chooser: () => chooserOf(policy), ...(traffic !== undefined && { traffic }) })
    const result = run.play((share) => progress(`${at + 1} of ${all.length}: ${policy} at ${load}, ${Math.round(100 * share)} %`))
    rows.push({ policy, load, measures: result.measures, ...(several && { byTenant: result.byTenant }) })
    events += result.events
  }
  const seconds = (performance.now() - began) / 1000
  progress(`${all.length} runs, ${showNumber(events)} events in ${seconds.toFixed(1)} s: ${showNumber(events / seconds)} a second\n`)
  const { name, about, ttftGoalMs } = scenario
  return { scenario: name, about, seed, capacityPerSecond: capacityPerSecond(scenario, traffic), ttftGoalMs, rows }
}

const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
  else if (text.endsWith('\n')) process.stderr.write(text)
}

const textOf = (results: Results): string =>
  `${results.scenario}: ${results.about}\nCapacity: ${showNumber(results.capacityPerSecond)} requests/s. Good: answered in full, first token within ${showNumber(results.ttftGoalMs)} ms. Seed ${results.seed}.\n\n${resultsTable(results)}\n`
