/** Spans of time as Prometheus histograms: the rows of the metrics page that add up what the workers counted. */
import { WAIT_BOUNDS_MS } from '../admission/wait-tally.ts'
import { AGE_BOUNDS_MS } from '../routing/signal-ages.ts'

/** `buckets` and `sumMs` are names of totals; a bucket's is followed by its place. */
type Histogram = {
  readonly name: string
  readonly help: string
  readonly boundsMs: readonly number[]
  readonly buckets: string
  readonly sumMs: string
}

const HISTOGRAMS: readonly Histogram[] = [
  {
    name: 'millrace_queue_wait_seconds',
    help: 'How long requests of models with admission waited before they were sent.',
    boundsMs: WAIT_BOUNDS_MS,
    buckets: 'waited.',
    sumMs: 'wait-ms',
  },
  {
    name: 'millrace_signal_age_seconds',
    help: 'How old the load of an endpoint was when it was chosen; beyond 2 s a load decides nothing.',
    boundsMs: AGE_BOUNDS_MS,
    buckets: 'signal-age.',
    sumMs: 'signal-age-ms',
  },
]

/** `sumOf` adds up a total of the workers, those that ended among them. */
export const histogramPage = (sumOf: (total: string) => number): string => HISTOGRAMS.map((one) => rowsOf(one, sumOf)).join('')

function rowsOf({ name, help, boundsMs, buckets, sumMs }: Histogram, sumOf: (total: string) => number): string {
  let page = `# HELP ${name} ${help}\n# TYPE ${name} histogram\n`
  let count = 0
  for (let at = 0; at <= boundsMs.length; at++) {
    const bound = boundsMs[at]
    count += sumOf(`${buckets}${at}`)
    page += `${name}_bucket{le="${bound === undefined ? '+Inf' : bound / 1_000}"} ${count}\n`
  }
  return `${page}${name}_sum ${sumOf(sumMs) / 1_000}\n${name}_count ${count}\n`
}
