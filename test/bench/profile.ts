/**
 * `npm run bench -- --profile`: where the worker's time goes. Profiles the worker while a scenario runs, warmed and for the measured time only, and sums what
 * each sample was doing by subject.
 */
import { z } from 'zod'
import { INSPECTED, inspectProxy, workerOf } from './inspector.ts'
import { startBackend } from './load-program.ts'
import { originOf } from './machine.ts'
import { type Bench, callFor, warmUpOf } from './measure.ts'
import { startMillrace } from './peers/millrace.ts'
import { cpuSplit } from './proc.ts'
import type { ProfileRun } from './records.ts'
import type { Scenario } from './scenarios.ts'
import { IDLE, subjectOf } from './subjects.ts'

/** Shorter ones would cost more than they tell. */
const SAMPLE_EVERY_MICROS = 1_000
const HOTTEST_SHOWN = 12

const cpuProfile = z.object({
  profile: z.object({
    nodes: z.array(
      z.object({ id: z.number(), callFrame: z.object({ functionName: z.string(), url: z.string(), lineNumber: z.number() }) }),
    ),
    samples: z.array(z.number()),
    timeDeltas: z.array(z.number()),
  }),
})
type Profile = z.infer<typeof cpuProfile>['profile']
type Profiled = ProfileRun['scenarios'][number]

export async function profileScenarios(bench: Bench, scenarios: readonly Scenario[], say: (line: string) => void): Promise<ProfileRun> {
  const origin = await originOf()
  const found: Profiled[] = []
  for (const scenario of scenarios) {
    say(`${scenario.name}: ${bench.seconds} s`)
    found.push(await profileOne(bench, scenario))
  }
  return { ...origin, seconds: bench.seconds, scenarios: found }
}

async function profileOne(bench: Bench, scenario: Scenario): Promise<Profiled> {
  const backend = await startBackend(bench.loadProgram, 'b0', scenario.ports, scenario.backend(bench.seconds))
  const tls = scenario.tls === true ? bench.tls : undefined
  const proxy = await startMillrace({ backends: backend.addresses, folder: bench.folder, tls, workers: 1, env: INSPECTED })
  const stage = { address: proxy.fields.listen ?? '', ca: tls?.ca, proxy: undefined, backends: [backend] }
  try {
    const processes = await inspectProxy(proxy)
    const { inspector, pid } = workerOf(processes)
    try {
      await callFor(bench, warmUpOf(scenario, bench), bench.warmSeconds, stage)
      await inspector.call('Profiler.enable')
      await inspector.call('Profiler.setSamplingInterval', { interval: SAMPLE_EVERY_MICROS })
      await inspector.call('Profiler.start')
      const before = cpuSplit(pid)
      const result = await callFor(bench, scenario.load(bench.seconds, 1), bench.seconds, stage)
      const after = cpuSplit(pid)
      const { profile } = cpuProfile.parse(await inspector.call('Profiler.stop'))
      const [userSeconds, kernelSeconds] = [after.userSeconds - before.userSeconds, after.kernelSeconds - before.kernelSeconds]
      const unit = scenario.compare === 'cpuPerMessageMicros' ? 'message' : 'request'
      const units = unit === 'message' ? result.messages : result.requests
      const cpuPerUnitMicros = ((userSeconds + kernelSeconds) * 1e6) / units
      return { name: scenario.name, userSeconds, kernelSeconds, cpuPerUnitMicros, unit, ...summarise(profile) }
    } finally {
      // A process that is inspected does not end before its inspector has left.
      for (const one of processes) one.inspector.close()
    }
  } finally {
    await proxy.stop()
    backend.child.kill()
    await backend.child.exited
  }
}

/** Self time by subject and by function, as shares of the time in which the worker did anything. */
export function summarise(profile: Profile): Pick<Profiled, 'shares' | 'hottest' | 'busySeconds'> {
  const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]))
  const subjects = new Map<string, number>()
  const functions = new Map<string, number>()
  let busy = 0
  for (const [i, id] of profile.samples.entries()) {
    const frame = frames.get(id)
    if (frame === undefined) continue
    const { subject, where } = subjectOf(frame)
    if (subject === IDLE) continue
    // A delta is the time since the sample before.
    const micros = profile.timeDeltas[i + 1] ?? 0
    busy += micros
    subjects.set(subject, (subjects.get(subject) ?? 0) + micros)
    functions.set(where, (functions.get(where) ?? 0) + micros)
  }
  const ranked = (all: ReadonlyMap<string, number>): [string, number][] =>
    [...all].map(([name, micros]): [string, number] => [name, micros / Math.max(1, busy)]).sort((a, b) => b[1] - a[1])
  return {
    busySeconds: busy / 1e6,
    shares: ranked(subjects).map(([subject, share]) => ({ subject, share })),
    hottest: ranked(functions)
      .slice(0, HOTTEST_SHOWN)
      .map(([where, share]) => ({ where, share })),
  }
}
