/** `npm run scale -- --profile`: where the control plane's time goes under the load of a plan, by function. */
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { INSPECTED, Inspector } from '../bench/inspector.ts'
import type { Plan } from './plans.ts'
import { Stage } from './stage.ts'

const LISTENING = /^Debugger listening on (ws:\S+)$/
const SHOWN = 40
const SAMPLE_EVERY_MICROS = 500
const IDLE = '(idle)'

const frame = z.object({ functionName: z.string(), url: z.string(), lineNumber: z.number() })
const cpuProfile = z.object({
  profile: z.object({
    nodes: z.array(z.object({ id: z.number(), callFrame: frame })),
    samples: z.array(z.number()),
    timeDeltas: z.array(z.number()),
  }),
})

/** Lines of a table, hottest first. */
export async function profilePlan(plan: Plan, warmSeconds: number, seconds: number): Promise<readonly string[]> {
  const stage = await Stage.open(plan.load, INSPECTED)
  const line = await stage.controlPlane.waitForLine(LISTENING, 5_000)
  const inspector = await Inspector.open(LISTENING.exec(line)?.[1] ?? '')
  try {
    await wait(warmSeconds * 1_000)
    await inspector.call('Profiler.enable')
    await inspector.call('Profiler.setSamplingInterval', { interval: SAMPLE_EVERY_MICROS })
    await inspector.call('Profiler.start')
    await wait(seconds * 1_000)
    return hottest(cpuProfile.parse(await inspector.call('Profiler.stop')).profile)
  } finally {
    inspector.close()
    await stage.close()
  }
}

function hottest({ nodes, samples, timeDeltas }: z.infer<typeof cpuProfile>['profile']): readonly string[] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const micros = new Map<string, number>()
  let busy = 0
  for (const [at, id] of samples.entries()) {
    const name = names.get(id) ?? ''
    const took = timeDeltas[at + 1] ?? 0
    if (name === IDLE) continue
    busy += took
    micros.set(name, (micros.get(name) ?? 0) + took)
  }
  const ranked = [...micros].sort((a, b) => b[1] - a[1]).slice(0, SHOWN)
  return ranked.map(([name, took]) => `${((100 * took) / Math.max(1, busy)).toFixed(1).padStart(5)} %  ${name}`)
}

function nameOf({ functionName, url, lineNumber }: z.infer<typeof frame>): string {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '' || url.startsWith('node:')) return url === '' ? name : `${name} ${url}`
  return `${name} ${/((?:control-plane|core|proto|node_modules)\/.*)$/.exec(url)?.[1] ?? url}:${lineNumber + 1}`
}
