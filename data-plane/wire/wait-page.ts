/** How long requests waited before they were sent, as a Prometheus histogram: the rows of the metrics page that add up what the workers counted. */
import { WAIT_BOUNDS_MS } from '../admission/wait-tally.ts'

const NAME = 'millrace_queue_wait_seconds'
const HELP = 'How long requests of models with admission waited before they were sent.'

/** `sumOf` adds up a total of the workers, those that ended among them. */
export function waitPage(sumOf: (total: string) => number): string {
  let page = `# HELP ${NAME} ${HELP}\n# TYPE ${NAME} histogram\n`
  let count = 0
  for (let at = 0; at <= WAIT_BOUNDS_MS.length; at++) {
    const bound = WAIT_BOUNDS_MS[at]
    count += sumOf(`waited.${at}`)
    page += `${NAME}_bucket{le="${bound === undefined ? '+Inf' : bound / 1_000}"} ${count}\n`
  }
  return `${page}${NAME}_sum ${sumOf('wait-ms') / 1_000}\n${NAME}_count ${count}\n`
}
