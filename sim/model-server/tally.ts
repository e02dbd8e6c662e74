/** What a model has done so far, and the two pages that tell of it: Triton's metrics page and the answer of ModelStatistics. Counts only grow. */
import { InferStatistics, ModelStatistics, type StatisticDuration } from '../../proto/gen/inference/grpc_service.ts'
import { MODEL_VERSION } from './token-message.ts'

export type Tally = {
  success: number
  rejected: number
  cancelled: number
  /** By the server's own misbehaviour. */
  broken: number
  executions: number
  queueMs: number
  computeMs: number
  requestMs: number
}

export const newTally = (): Tally => ({
  success: 0,
  rejected: 0,
  cancelled: 0,
  broken: 0,
  executions: 0,
  queueMs: 0,
  computeMs: 0,
  requestMs: 0,
})

type Family = {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  readonly of: (tally: Tally) => [string, number][]
}

const whole = (ms: number): number => Math.round(ms * 1000)
const one = (value: number): [string, number][] => [['', value]]

const FAMILIES: readonly Family[] = [
  { name: 'nv_inference_request_success', help: 'Requests answered in full', type: 'counter', of: (tally) => one(tally.success) },
  {
    name: 'nv_inference_request_failure',
    help: 'Requests not answered in full',
    type: 'counter',
    of: (tally) => [
      ['REJECTED', tally.rejected],
      ['CANCELED', tally.cancelled],
      ['BACKEND', 0],
      ['OTHER', tally.broken],
    ],
  },
  { name: 'nv_inference_count', help: 'Inferences performed', type: 'counter', of: (tally) => one(tally.success) },
  { name: 'nv_inference_exec_count', help: 'Executions begun', type: 'counter', of: (tally) => one(tally.executions) },
  {
    name: 'nv_inference_request_duration_us',
    help: 'Time of requests, in all',
    type: 'counter',
    of: (tally) => one(whole(tally.requestMs)),
  },
  {
    name: 'nv_inference_queue_duration_us',
    help: 'Time of requests in the queue',
    type: 'counter',
    of: (tally) => one(whole(tally.queueMs)),
  },
  {
    name: 'nv_inference_compute_infer_duration_us',
    help: 'Time of execution',
    type: 'counter',
    of: (tally) => one(whole(tally.computeMs)),
  },
]

const escapeLabel = (text: string): string => text.replace(/[\\"\n]/g, (letter) => (letter === '\n' ? '\\n' : `\\${letter}`))

/** Triton's names in the Prometheus text format. `pending` is what waits of each model, and is the only number that falls. */
export function metricsPage(tallies: ReadonlyMap<string, Tally>, pending: ReadonlyMap<string, number>): string {
  const lines = ['# millrace-sim: a simulated server']
  const labels = (model: string, reason: string): string =>
    `{model="${escapeLabel(model)}",${reason === '' ? '' : `reason="${reason}",`}version="${MODEL_VERSION}"}`
  for (const { name, help, type, of } of FAMILIES) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
    for (const [model, tally] of tallies) for (const [reason, value] of of(tally)) lines.push(`${name}${labels(model, reason)} ${value}`)
  }
  const depth = 'nv_inference_pending_request_count'
  lines.push(`# HELP ${depth} Requests that wait and do not execute yet`, `# TYPE ${depth} gauge`)
  for (const model of tallies.keys()) lines.push(`${depth}${labels(model, '')} ${pending.get(model) ?? 0}`)
  return `${lines.join('\n')}\n`
}

export function statisticsOf(name: string, tally: Tally): ModelStatistics {
  const duration = (count: number, ms: number): StatisticDuration => ({ count: BigInt(count), ns: BigInt(Math.round(ms * 1_000_000)) })
  return ModelStatistics.create({
    name,
    version: MODEL_VERSION,
    inferenceCount: BigInt(tally.success),
    executionCount: BigInt(tally.executions),
    inferenceStats: InferStatistics.create({
      success: duration(tally.success, tally.requestMs),
      fail: duration(tally.rejected + tally.cancelled + tally.broken, 0),
      queue: duration(tally.executions, tally.queueMs),
      computeInfer: duration(tally.success, tally.computeMs),
    }),
  })
}
