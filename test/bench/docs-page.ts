/** The page docs/benchmarks.md: what was measured, where its boundary is, and the tables. Nothing on it is written by hand. */
import type { ComparisonRun, MemoryRun } from './records.ts'
import { memoryText, notesOf, ratioTable, scenarioTable, targetTable } from './report.ts'
import type { Scenario } from './scenarios.ts'
import { summarise } from './statistics.ts'

export function docsPage(run: ComparisonRun, memory: MemoryRun | undefined, scenarios: readonly Scenario[]): string {
  const summaries = summarise(run.rows)
  const { machine } = run
  const notes = notesOf(run.rows)
  return `# Benchmarks

Written by \`npm run bench\` on ${run.at.slice(0, 10)}, commit ${run.commit}; the same in numbers: [benchmarks.json](benchmarks.json).

One machine, one run: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, ${machine.system}. Read the ratios; the absolute numbers
belong to that machine and to nothing else.

## Ratios

![Millrace divided by each peer](benchmarks-ratios.svg)

Millrace divided by each peer, below 1 is less. Ratios are formed within a round, and the median of up to ${rounds(run.rounds)} is shown.

${ratioTable(
  scenarios,
  ['direct', ...run.peers.map((one) => one.name)].filter((name) => name !== 'millrace'),
  run.ratios,
)}

### Targets

${targetTable(run)}

Where the time goes, and what was tried: [performance.md](performance.md).
${memory === undefined ? '' : `\n${memoryPart(memory)}\n`}
## What is measured

- **CPU** is user and system time of the proxy process and all its children, from \`/proc\`, divided by the requests or messages that were relayed
  in that time. It holds what the kernel does in the proxy's name, loopback included, and nothing of callers and backends.
- **Latency** is seen by the caller and holds the whole way: caller, loopback, proxy, loopback, backend, and back. \`direct\` is the same way without a proxy.
- **Closed loop**: the next call of a slot starts when the last has ended, so a slow proxy is also asked less. **Open loop**: calls start when they
  are due whatever became of the earlier ones, and are timed from then.
- **RSS** is the sum over the proxy's processes; pages that two of them share count twice.
- Callers and backends are grpc-go (${machine.loadGenerator}) and share the machine's ${machine.cores} cores with the proxy, unpinned: a proxy is never
  alone on the machine, which is why latency is the less steady number here.
- Every message is a valid KServe v2 message; a stream's messages carry \`triton_final_response\` and their number, and one that is missing, doubled or
  out of order is an error.
- Each proxy runs one worker (two in one column of \`workers\`), in clear text (but for \`tls\`) and without access log, started afresh for each measurement, alone, and
  (but for \`idle\`) warmed for a second or one stream's length; then ${run.seconds} s are measured, in ${rounds(run.rounds)}. Scenarios that count more than they time, and peers that
  are there for orientation, have fewer rounds. The order of the peers turns from round to round.
- Millrace runs as shipped, with everything on: routing by the first message, ledger, retry copies, checks of messages. Envoy's, HAProxy's and nginx's retries are on in
  \`failover\` only. Envoy's, HAProxy's and node:http2's stream windows are 1 MiB, as the callers' and backends' are.

## Peers

${run.peers.map((one) => `- **${one.name}** ${one.version === undefined ? `(not measured: ${one.absent})` : one.version}: ${one.about}`).join('\n')}
- Node ${machine.node} runs Millrace and the Node baselines.

## Numbers

![CPU of the proxy](benchmarks-cpu.svg)

![Latency, and memory of an idle stream](benchmarks-latency.svg)

${scenarios.map((one) => `### ${one.name}\n\n${capital(one.about)}.\n\n${scenarioTable(one, summaries)}`).join('\n\n')}

${LEGEND}
${notes.length === 0 ? '' : `\n## Notes\n\n${notes.map((note) => `- ${note.split('\n')[0]}`).join('\n')}\n`}
## Repeat it

\`\`\`sh
npm run bench                                                 # all of it; writes this page
npm run bench -- --quick                                      # what has a target, one round
npm run bench -- --which millrace,envoy --scenarios real --no-docs
npm run bench -- --memory --minutes 10                        # the memory part of this page
npm run bench -- --profile                                    # the measured part of performance.md
npm run bench -- --page                                       # this page again from the JSON beside it
\`\`\`

A peer that is missing is installed where that needs no more than this user may do, else it is left out by name. \`npm run bench -- --help\` lists what each needs.
`
}

const memoryPart = (memory: MemoryRun): string => `## Memory over time

![Memory over the minutes](benchmarks-memory.svg)

Written by \`npm run bench -- --memory\` on ${memory.at.slice(0, 10)}, commit ${memory.commit}; in numbers: [benchmarks-memory.json](benchmarks-memory.json).
One worker under all of this at once: ${memory.load.join('; ')}. The slopes are of the straight line through the samples, with its standard error.

${memoryText(memory)
  .split('\n')
  .map((line) => `- ${line.replace(/ +/g, ' ')}`)
  .join('\n')}`

const LEGEND = `*slowest*: the longest call that succeeded (failover), the largest stray (gaps) or the slowest cancel. *lost*: messages that never came (gaps), cancels that the backend
did not see within 2 s (cancel). *dead one felt*: from the kill to the last answer of the killed backend or the last failed call. A proxy that does not tell its retries shows –.`

const rounds = (count: number): string => (count === 1 ? 'one round' : `${count} rounds`)
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
