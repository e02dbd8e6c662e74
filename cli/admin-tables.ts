/** The tables of `millrace admin`: one row per endpoint of a node, one per weight. Unknown is `-`, never zero; what is simulated says so. */

export type GpuView = {
  readonly uuid: string
  readonly name: string
  readonly utilization?: number
  readonly temperature_celsius?: number
  readonly memory_used_bytes?: number
  readonly memory_total_bytes?: number
  readonly state: string
  readonly state_reason: string
}
export type LoadView = { readonly queue_depth?: number; readonly running?: number }
export type EndpointView = {
  readonly endpoint?: {
    readonly id: string
    readonly address: string
    readonly state: string
    readonly weight: number
    readonly state_reason: string
  }
  readonly load?: LoadView | null
}
export type NodeView = {
  readonly node_id: string
  readonly zone: string
  readonly intent: string
  readonly intent_reason: string
  readonly silent_ms: number
  readonly freshness: string
  readonly gpus: readonly GpuView[]
  readonly endpoints: readonly EndpointView[]
  readonly gpu_telemetry: string
  readonly gpu_telemetry_reason: string
  readonly simulated: boolean
}
export type WeightView = {
  readonly endpoint_id: string
  readonly weight: number
  readonly state: string
  readonly state_reason: string
  readonly factors: Readonly<Record<string, number>>
}

/** Columns as wide as their widest cell, two spaces between. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  return `${[head, ...rows].map(line).join('\n')}\n`
}

const PREFIXES = /^(ENDPOINT_STATE|NODE_INTENT|GPU_TELEMETRY|GPU_STATE|FRESHNESS)_/

/** `ENDPOINT_STATE_READY` → `READY` */
export const stateOf = (value: string): string => value.replace(PREFIXES, '')
export const orDash = (value: string): string => (value === '' ? '-' : value)
export const count = (value: number | undefined): string => (value === undefined ? '-' : String(Math.round(value * 10) / 10))
export const because = (state: string, reason: string): string => (reason === '' ? state : `${state} (${reason})`)

/** The busiest and the hottest stand for all: they are what an operator looks for. */
export function gpuSummary({ gpus, gpu_telemetry, gpu_telemetry_reason }: NodeView): string {
  if (gpus.length === 0) return orDash(because(stateOf(gpu_telemetry), gpu_telemetry_reason))
  const most = (of: (gpu: GpuView) => number | undefined): number | undefined => {
    const known = gpus.map(of).filter((value) => value !== undefined)
    return known.length === 0 ? undefined : Math.max(...known)
  }
  const utilization = most((gpu) => gpu.utilization)
  const temperature = most((gpu) => gpu.temperature_celsius)
  const failed = gpus.filter((gpu) => gpu.state === 'GPU_STATE_FAILED').length
  return [
    `${gpus.length} × ${gpus[0]?.name ?? ''}`,
    ...(utilization === undefined ? [] : [`${Math.round(utilization * 100)} %`]),
    ...(temperature === undefined ? [] : [`${Math.round(temperature)} °C`]),
    ...(failed === 0 ? [] : [`${failed} FAILED`]),
  ].join(', ')
}

/** How much it is used, how hot it is, and what of its memory is taken. */
export function gpuFacts({ utilization, temperature_celsius, memory_used_bytes, memory_total_bytes }: GpuView): string[] {
  const gib = (bytes: number): string => String(Math.round(bytes / 2 ** 30))
  return [
    utilization === undefined ? '-' : `${Math.round(utilization * 100)} %`,
    temperature_celsius === undefined ? '-' : `${Math.round(temperature_celsius)} °C`,
    memory_used_bytes === undefined || memory_total_bytes === undefined
      ? '-'
      : `${gib(memory_used_bytes)} of ${gib(memory_total_bytes)} GiB`,
  ]
}

export function nodesTable(nodes: readonly NodeView[]): string {
  const rows = [...nodes]
    .sort((a, b) => a.node_id.localeCompare(b.node_id))
    .flatMap((node) => {
      const about = [
        node.simulated ? `${node.node_id} (simulated)` : node.node_id,
        orDash(node.zone),
        because(stateOf(node.intent), node.intent_reason),
      ]
      const seen = [gpuSummary(node), stateOf(node.freshness), `${node.silent_ms} ms`]
      const endpoints = node.endpoints.length === 0 ? [{}] : node.endpoints
      return endpoints.map(({ endpoint, load }: EndpointView) => [
        ...about,
        endpoint?.id ?? '-',
        endpoint?.address ?? '-',
        endpoint === undefined ? '-' : because(stateOf(endpoint.state), endpoint.state_reason),
        count(load?.queue_depth),
        count(load?.running),
        ...seen,
      ])
    })
  return table(['NODE', 'ZONE', 'INTENT', 'ENDPOINT', 'ADDRESS', 'STATE', 'QUEUE', 'RUNNING', 'GPUS', 'SEEN', 'SILENT'], rows)
}

export function weightsTable(weights: readonly WeightView[]): string {
  const rows = [...weights]
    .sort((a, b) => a.endpoint_id.localeCompare(b.endpoint_id))
    .map((one) => [
      one.endpoint_id,
      count(one.weight),
      because(stateOf(one.state), one.state_reason),
      Object.entries(one.factors)
        .map(([name, value]) => `${name} ${Math.round(value * 1000) / 1000}`)
        .join(' × ') || '-',
    ])
  return table(['ENDPOINT', 'WEIGHT', 'STATE', 'FACTORS'], rows)
}
