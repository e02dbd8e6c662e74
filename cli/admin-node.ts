/** What `millrace admin node` and `admin watch` print: one node whole, with why it is as it is, and changes of state a line each. */
import {
  because,
  count,
  type EndpointView,
  gpuFacts,
  type NodeView,
  orDash,
  stateOf,
  table,
  type WeightView,
  weightsTable,
} from './admin-tables.ts'

export type ChangeView = {
  readonly at_unix_ms: number
  readonly node_id: string
  readonly endpoint_id: string
  readonly from: string
  readonly to: string
  readonly reason: string
}

export type NodeWhole = NodeView & {
  readonly warnings: readonly string[]
  readonly history: readonly ChangeView[]
  readonly agent_version: string
}

/** Whose history it is. */
export type MemoryView = { readonly control_plane: string; readonly since_unix_ms: number }

/** `12:03:04.120 gpu-a/triton  READY → FAILED: refused`, in the time zone of whoever reads. */
export function changeLine({ at_unix_ms, node_id, endpoint_id, from, to, reason }: ChangeView): string {
  const what = [from, to].filter((state) => state !== '').join(' → ')
  const time = at_unix_ms === 0 ? '-' : timeOf(new Date(at_unix_ms))
  return [time, endpoint_id || node_id, because(what, reason)].filter((part) => part !== '').join('  ')
}

const two = (value: number): string => String(value).padStart(2, '0')

function timeOf(date: Date): string {
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`
}

export function nodePage(node: NodeWhole, weights: readonly WeightView[], memory: MemoryView | null): string {
  const sections: [string, string][] = [
    ['', facts(node)],
    ['ENDPOINTS', endpointsTable(node.endpoints)],
    ['WEIGHTS', weights.length === 0 ? 'none\n' : weightsTable(weights)],
    ['GPUS', gpusTable(node)],
    ['WARNINGS', lines(node.warnings)],
    [historyTitle(memory), lines(node.history.map(changeLine))],
  ]
  return sections.map(([title, text]) => (title === '' ? text : `${title}\n${indent(text)}`)).join('\n')
}

/** An older control plane does not say who it is. */
const historyTitle = (memory: MemoryView | null): string =>
  memory === null
    ? 'HISTORY'
    : `HISTORY as control plane ${memory.control_plane} saw it, whole since ${timeOf(new Date(memory.since_unix_ms))}; each remembers its own`

const lines = (all: readonly string[]): string => (all.length === 0 ? 'none\n' : `${all.join('\n')}\n`)
const indent = (text: string): string => text.replace(/^(?=.)/gm, '  ')

function facts(node: NodeWhole): string {
  const rows = [
    ['node', node.simulated ? `${node.node_id} (simulated)` : node.node_id],
    ['zone', orDash(node.zone)],
    ['intent', because(stateOf(node.intent), node.intent_reason)],
    ['seen', `${stateOf(node.freshness)}, silent for ${node.silent_ms} ms`],
    ['agent', orDash(node.agent_version)],
    ['GPU telemetry', because(stateOf(node.gpu_telemetry), node.gpu_telemetry_reason)],
  ]
  return rows.map(([name = '', value]) => `${name.padEnd(15)}${value}\n`).join('')
}

function endpointsTable(endpoints: readonly EndpointView[]): string {
  if (endpoints.length === 0) return 'none\n'
  const rows = endpoints.map(({ endpoint, load }) => [
    endpoint?.id ?? '-',
    endpoint?.address ?? '-',
    endpoint === undefined ? '-' : because(stateOf(endpoint.state), endpoint.state_reason),
    count(load?.queue_depth),
    count(load?.running),
  ])
  return table(['ENDPOINT', 'ADDRESS', 'STATE', 'QUEUE', 'RUNNING'], rows)
}

function gpusTable({ gpus }: NodeWhole): string {
  if (gpus.length === 0) return 'none\n'
  const rows = gpus.map((gpu) => [gpu.uuid, gpu.name, because(stateOf(gpu.state), gpu.state_reason), ...gpuFacts(gpu)])
  return table(['GPU', 'NAME', 'STATE', 'USED', 'TEMPERATURE', 'MEMORY'], rows)
}
