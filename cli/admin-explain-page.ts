/** What `millrace admin explain` prints for people. Unknown is `-`, never zero. */
import { count, orDash, table } from './admin-tables.ts'

export type CandidateView = {
  readonly endpoint_id: string
  readonly compared: boolean
  readonly weight: number
  readonly charged: number
  readonly load_age_ms?: number
  readonly terms: Readonly<Record<string, number>>
  readonly words: Readonly<Record<string, string>>
}
export type ChoiceView = {
  readonly model: string
  readonly policy: string
  readonly snapshot_version: string
  readonly candidates: readonly CandidateView[]
  readonly candidates_total: number
  readonly passed_over: readonly { readonly why: string; readonly count: number; readonly endpoint_ids: readonly string[] }[]
  readonly endpoints_total: number
}
export type DecisionView = {
  readonly at_unix_ms: number
  readonly trace_id: string
  readonly attempt: number
  readonly endpoint_id: string
  readonly choice: ChoiceView | null
  readonly end: {
    readonly outcome: string
    readonly status?: number
    readonly first_byte_ms?: number
    readonly total_ms: number
    readonly messages: number
    readonly request_bytes: number
  } | null
}
export type ExplainedView = {
  readonly proxies: readonly {
    readonly proxy_id: string
    readonly reply: { readonly decisions: readonly DecisionView[]; readonly now: ChoiceView | null } | null
  }[]
  readonly silent: readonly string[]
  readonly not_asked: number
}

export function explainPage({ proxies, silent, not_asked }: ExplainedView): string {
  const parts = proxies.flatMap(({ proxy_id, reply }) => [
    ...(reply?.now ? [`PROXY ${proxy_id}, now\n${choicePage(reply.now, '')}`] : []),
    ...(reply?.decisions ?? []).map((decision) => decisionPage(proxy_id, decision)),
    ...(reply?.now || reply?.decisions.length ? [] : [`PROXY ${proxy_id}: remembers no such decision\n`]),
  ])
  if (silent.length > 0) parts.push(`no answer in time from ${silent.join(', ')}\n`)
  if (not_asked > 0) parts.push(`${not_asked} more proxies were not asked; choose one with --proxy\n`)
  return parts.join('\n')
}

function decisionPage(proxy: string, { at_unix_ms, trace_id, attempt, endpoint_id, choice, end }: DecisionView): string {
  const about = [
    `DECISION at ${new Date(at_unix_ms).toISOString()} by ${proxy}: ${endpoint_id}`,
    ...(attempt > 1 ? [`attempt ${attempt}`] : []),
    ...(trace_id === '' ? [] : [`trace ${trace_id}`]),
  ]
  return `${about.join(', ')}\n  ${endWords(end)}\n${choice === null ? '' : choicePage(choice, endpoint_id)}`
}

function endWords(end: DecisionView['end']): string {
  if (end === null) return 'still running'
  const status = end.status === undefined ? 'another attempt followed' : `status ${end.status}`
  return (
    `${end.outcome}, ${status}; first byte after ${count(end.first_byte_ms)} ms, ${count(end.total_ms)} ms in all, ` +
    `${end.messages} messages for ${end.request_bytes} bytes`
  )
}

function choicePage(choice: ChoiceView, chosen: string): string {
  const { model, policy, snapshot_version, candidates, candidates_total, passed_over, endpoints_total } = choice
  const shown = candidates.length < candidates_total ? `, ${candidates.length} of them shown` : ''
  const head =
    `  model ${model}, policy ${policy}, snapshot ${orDash(snapshot_version)}; ` +
    `${candidates_total} of ${endpoints_total} endpoints could be drawn${shown}\n`
  const names = [...new Set(candidates.flatMap(({ terms, words }) => [...Object.keys(terms), ...Object.keys(words)]))]
  const rows = candidates.map((one) => [
    one.endpoint_id,
    one.endpoint_id === chosen ? 'chosen' : one.compared ? 'compared' : '-',
    count(one.weight),
    String(one.charged),
    one.load_age_ms === undefined ? '-' : `${Math.round(one.load_age_ms)} ms`,
    ...names.map((name) => termOf(one, name)),
  ])
  const columns = ['ENDPOINT', 'PART', 'WEIGHT', 'CHARGED', 'LOAD AGE', ...names.map((name) => name.toUpperCase())]
  const over = passed_over.map(
    (group) =>
      `  ${group.count} passed over: ${group.why} (${group.endpoint_ids.join(', ')}${group.count > group.endpoint_ids.length ? ', …' : ''})\n`,
  )
  return `${head}${candidates.length === 0 ? '' : table(columns, rows).replace(/^/gm, '  ').trimEnd()}\n${over.join('')}`
}

function termOf({ terms, words }: CandidateView, name: string): string {
  const number = terms[name]
  return number === undefined ? (words[name] ?? '-') : String(Math.round(number * 1_000) / 1_000)
}
