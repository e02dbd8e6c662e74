/** What is measured: each table varies one thing and keeps the others. */
import type { Load } from './stage.ts'

export const TABLES = ['reports', 'fleet', 'change', 'proxies', 'whole'] as const
export type TableName = (typeof TABLES)[number]

export type Plan = { readonly table: TableName; readonly name: string; readonly load: Load }

/** A proxy tells of this many endpoints in its report of outcomes. */
const ROWS = 50
const QUIET: Load = { nodes: 1_000, moving: 0, flapsPerSecond: 0, clients: 0, rows: ROWS }

const plan = (table: TableName, name: string, load: Partial<Load>): Plan => ({ table, name, load: { ...QUIET, ...load } })
const thousands = (count: number): string => count.toLocaleString('en')

const SIZES = [1_000, 3_000, 10_000] as const
/** The same at every size of the fleet: 200 loads move and 10 states change in a second. */
const SAME_CHANGES = { moving: 100, flapsPerSecond: 10, clients: 100 }

export const PLANS: readonly Plan[] = [
  ...SIZES.map((nodes) => plan('reports', `${thousands(nodes)} nodes`, { nodes })),
  ...SIZES.map((nodes) => plan('fleet', `${thousands(nodes)} nodes`, { nodes, ...SAME_CHANGES })),
  ...[0, 0.1, 1].map((share) => plan('change', `${share * 100} % of 3,000 nodes`, { nodes: 3_000, moving: 3_000 * share, clients: 100 })),
  ...[100, 300, 1_000].map((clients) => plan('proxies', `${thousands(clients)} proxies`, { ...SAME_CHANGES, flapsPerSecond: 1, clients })),
  ...[100, 300, 1_000].map((clients) =>
    plan('whole', `10,000 nodes, ${thousands(clients)} proxies`, { nodes: 10_000, moving: 1_000, flapsPerSecond: 1, clients }),
  ),
]

export const ABOUT: Readonly<Record<TableName, string>> = {
  reports: 'Nobody listens: what it costs to hear the fleet. Heartbeats, and a full report of each node every 10 s',
  fleet: 'The same changes in fleets of different size: 200 loads move and 10 states change in a second, 100 proxies listen',
  change: 'The same fleet, with a growing share of nodes whose load and GPUs change in every report; 100 proxies listen',
  proxies:
    '1,000 nodes, 200 loads that move and one failure in a second, and more proxies that listen, answer and report outcomes of 50 endpoints once a second',
  whole: 'All of it at once: a tenth of 10,000 nodes with a moving load, a failure each second, and more and more proxies',
}

/** What a quick look measures. */
export const QUICK: readonly Plan[] = [
  plan('reports', '1,000 nodes', {}),
  plan('fleet', '1,000 nodes', SAME_CHANGES),
  plan('fleet', '3,000 nodes', { nodes: 3_000, ...SAME_CHANGES }),
]
