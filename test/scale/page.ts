/** The page docs/scale.md: what was measured, where its boundary is, and the tables. Nothing on it is written by hand. */
import { showNumber, table } from '../../core/show/table.ts'
import { ABOUT, TABLES, type TableName } from './plans.ts'
import type { LatencyRow, ScaleRow, ScaleRun } from './records.ts'
import { NODE_WEIGHT, NOT_REACHED, TRIED } from './tried.ts'

type Column = readonly [head: string, read: (row: ScaleRow) => string]

const number =
  (read: (row: ScaleRow) => number | undefined): Column[1] =>
  (row) =>
    showNumber(read(row))
const percent = (share: number): string => `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`

const CORE: Column = ['of one core', (row) => percent(row.coreShare)]
const TICK: Column = ['tick µs', number((row) => row.tickMicros)]
const DELAY: Column = ['loop delay p99 ms', number((row) => row.delayP99Ms)]
const DROPS: Column = ['dropped', number((row) => row.drops)]
const RSS: Column = ['RSS MiB', number((row) => row.rssMib)]
const HEAP: Column = ['heap MiB', number((row) => row.heapMib)]
const REPORTS: Column = ['reports/s', number((row) => row.reportsPerSecond)]
const OUT: readonly Column[] = [
  ['messages out/s', number((row) => row.messagesPerSecond)],
  ['MiB out/s', number((row) => row.mibPerSecond)],
]
const IN: readonly Column[] = [
  ['ACKs/s', number((row) => row.acksPerSecond)],
  ['outcome reports/s', number((row) => row.proxyReportsPerSecond)],
]

const COLUMNS: Readonly<Record<TableName, readonly Column[]>> = {
  reports: [REPORTS, ['CPU µs/report', number((row) => row.cpuPerReportMicros)], CORE, TICK, DELAY, DROPS, RSS, HEAP],
  fleet: [REPORTS, ...OUT, CORE, TICK, DELAY, DROPS, RSS, HEAP],
  change: [REPORTS, ...OUT, CORE, TICK, DELAY, DROPS, RSS, HEAP],
  proxies: [...OUT, ...IN, CORE, TICK, DELAY, DROPS, RSS, HEAP],
  whole: [REPORTS, ...OUT, ...IN, CORE, TICK, DELAY, DROPS, RSS, HEAP],
}

export const rowsTable = (name: TableName, rows: readonly ScaleRow[]): string =>
  table(
    ['', ...COLUMNS[name].map(([head]) => head)],
    rows.map((row) => [row.name, ...COLUMNS[name].map(([, read]) => read(row))]),
  )

export const latencyTable = (rows: readonly LatencyRow[]): string =>
  table(
    ['', 'listeners', 'arrivals', 'p50 ms', 'p99 ms', 'slowest ms'],
    rows.map((row) => [
      row.name,
      row.listeners,
      showNumber(row.samples),
      showNumber(row.p50Ms),
      showNumber(row.p99Ms),
      showNumber(row.maxMs),
    ]),
  )

export function scalePage(run: ScaleRun): string {
  const { machine } = run
  const parts = TABLES.map((name) => {
    const rows = run.rows.filter((row) => row.table === name)
    return rows.length === 0 ? '' : `## ${HEADS[name]}\n\n${ABOUT[name]}.\n\n${rowsTable(name, rows)}\n`
  }).filter((part) => part !== '')
  return `# The control plane at fleet size

Written by \`npm run scale\` on ${run.at.slice(0, 10)}, commit ${run.commit}; the same in numbers: [scale.json](scale.json).

One machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, ${machine.system}, Node ${machine.node}.

## What is measured

- **One control plane** as a process, on a real nats-server, as shipped. Its CPU time is user and system time from \`/proc\`, so it holds what the kernel
  does in its name. Nothing of nats-server or the generators is in it. One core is 100 %; it uses helper threads for collecting garbage, which count too.
- **Nodes** are spoken for by generators, two reports a second each (open loop: a slow control plane is not asked less), over real NATS: heartbeats in
  between, a full report every 10 s. Eight GPUs; every fourth node has two servers, so 10,000 nodes are 12,500 endpoints. A node whose load moves
  sends all its GPUs and servers in each report, about 2.4 KB.
- **Proxies** are mesh clients with a connection each, over real gRPC, that acknowledge whatever asks for it and report outcomes once a second. They come
  one after the other, 16 to a generator at a time, and decode only what is looked at, which a thousand hosts would do beside one another.
- All share the machine's ${machine.cores} cores, unpinned: NATS and the generators compete with what is measured, so CPU per unit is the steady number and the loop's
  delay is the less steady one (it holds what the system's scheduler adds; a tick alone shows in it).
- Each row: warmed for ${run.spans.warmSeconds} s after the whole fleet is known and every client holds it and hears that its loads hold, then measured for ${run.spans.seconds} s, once.

${parts.join('\n')}
${latencyPart(run.latency)}## What was tried

${table(
  ['what', 'before', 'after', 'measured as'],
  TRIED.map((row) => [...row]),
)}

## What a node weighs

Bytes on the heap that a control plane holds of one node, after a full collection: eight GPUs, every fourth node has two servers. Before and after what agents say of
GPUs was kept in bytes.

${table(
  ['what', 'before', 'after'],
  NODE_WEIGHT.map((row) => [...row]),
)}

## Not reached

${NOT_REACHED.map((text) => `- ${text}`).join('\n')}

## Repeat it

\`\`\`sh
npm run scale                                  # all of it, about ten minutes; writes this page
npm run scale -- --quick                       # a look in less than a minute; writes nothing
npm run scale -- --tables whole,latency --no-docs
npm run scale -- --profile --tables whole      # where the time goes, by function
npm run scale -- --page                        # this page again from the JSON beside it
\`\`\`
`
}

const latencyPart = (rows: readonly LatencyRow[]): string =>
  rows.length === 0
    ? ''
    : `## From FAILED to every proxy

From the moment the agent's report goes into its socket until it arrived at each listener, by one clock; 10,000 nodes report meanwhile. The goal is
150 ms at p99. For proxies as processes it ends when a watcher of the proxy's health is told, which the proxy looks at every 50 ms.

${latencyTable(rows)}

`

const HEADS: Readonly<Record<TableName, string>> = {
  reports: 'Hearing the fleet',
  fleet: 'The same changes, larger fleets',
  change: 'The same fleet, more changes',
  proxies: 'More proxies',
  whole: 'All of it',
}
