/**
 * The rows of a metrics page that name endpoints, as Prometheus text, a slice in each turn: with a thousand endpoints a page has five thousand of them.
 * Endpoints beyond `endpointSeriesMax` are added up as endpoint="other"; who has a row keeps it as long as the picture names it.
 */
import type { LedgerSums } from '../share/ledger-sums.ts'
import type { EndpointRow } from '../share/rows.ts'

const ROWS_PER_TURN = 250
const OTHER = 'other'

type Numbers = Omit<EndpointRow, 'id' | 'ejected'> & { readonly ejected: number }

type Family = { readonly name: string; readonly kind: 'gauge' | 'counter'; readonly help: string; rows(label: string, of: Numbers): string }

const FAMILIES: readonly Family[] = [
  {
    name: 'millrace_endpoint_in_flight',
    kind: 'gauge',
    help: 'Open attempts on an endpoint.',
    rows: (label, { inFlight }) => `millrace_endpoint_in_flight{endpoint="${label}"} ${inFlight}\n`,
  },
  {
    name: 'millrace_endpoint_ejected',
    kind: 'gauge',
    help: '1 while this proxy keeps away from an endpoint whose connections or answers failed; of "other", how many.',
    rows: (label, { ejected }) => `millrace_endpoint_ejected{endpoint="${label}"} ${ejected}\n`,
  },
  {
    name: 'millrace_endpoint_attempts_total',
    kind: 'counter',
    help: 'Attempts ended, by endpoint and outcome.',
    rows: (label, { successes, backpressures, failures }) => {
      const row = `millrace_endpoint_attempts_total{endpoint="${label}",outcome="`
      return `${row}success"} ${successes}\n${row}backpressure"} ${backpressures}\n${row}failure"} ${failures}\n`
    },
  },
]

/** All rows as they were when the first piece was asked for. */
export function* endpointPage(sums: LedgerSums): Generator<string> {
  const rows = [...sums.rows()]
  const others = sums.unshown > 0 ? { ...sums.others } : undefined
  for (const family of FAMILIES) {
    yield `# HELP ${family.name} ${family.help}\n# TYPE ${family.name} ${family.kind}\n`
    for (let at = 0; at < rows.length; at += ROWS_PER_TURN) {
      let piece = ''
      for (const row of rows.slice(at, at + ROWS_PER_TURN)) piece += family.rows(escaped(row.id), { ...row, ejected: Number(row.ejected) })
      yield piece
    }
    if (others !== undefined) yield family.rows(OTHER, others)
  }
}

const escaped = (id: string): string => (/["\\\n]/.test(id) ? id.replace(/[\\"\n]/g, (sign) => (sign === '\n' ? '\\n' : `\\${sign}`)) : id)
