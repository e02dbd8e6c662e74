/** The proxy's metrics page: the workers' totals added up when somebody looks. Labels are bounded by the snapshot and by our own tables. */
import { Counter, Gauge, type MetricsPage, newRegistry, type Registry } from '../../core/edge/metrics.ts'
import { endpointPage } from './endpoint-page.ts'
import type { Following } from './follow-control-plane.ts'
import { histogramPage } from './histogram-page.ts'
import type { Primary } from './primary.ts'
import { addProcessMetrics, type OwnVitals } from './process-metrics.ts'
import type { ListenerTls } from './tls-listener.ts'
import { addTlsMetrics } from './tls-metrics.ts'

type Source = { readonly total: string; readonly name: string; readonly help: string }

const COUNTERS: readonly Source[] = [
  { total: 'requests', name: 'millrace_requests_total', help: 'Requests accepted.' },
  { total: 'retries', name: 'millrace_retries_total', help: 'Attempts that followed one that failed.' },
  { total: 'hedges', name: 'millrace_hedges_total', help: 'Second attempts that began beside a first whose answer was late.' },
  {
    total: 'hedges.won',
    name: 'millrace_hedges_won_total',
    help: 'Those that went on alone: they answered first, or the first attempt failed.',
  },
  {
    total: 'signal-unknown',
    name: 'millrace_signal_unknown_total',
    help: 'Times that an endpoint was chosen of whose load nothing was known.',
  },
  {
    total: 'messages.out',
    name: 'millrace_messages_out_total',
    help: 'gRPC messages passed from endpoints to clients, counted at the end of each request.',
  },
  {
    total: 'first-message-timeouts',
    name: 'millrace_first_message_timeouts_total',
    help: 'Inference requests whose first message did not come in time.',
  },
  {
    total: 'slow-attempts',
    name: 'millrace_slow_attempts_total',
    help: 'Attempts given up because they took longer than their model may.',
  },
  {
    total: 'loads.in-band',
    name: 'millrace_orca_loads_total',
    help: 'Loads that servers told with their answers (ORCA).',
  },
  {
    total: 'loads.unreadable',
    name: 'millrace_orca_unreadable_total',
    help: 'Loads told with answers that are no report.',
  },
  {
    total: 'connections.aged',
    name: 'millrace_client_connections_aged_total',
    help: 'Client connections that were asked to connect anew because of their age.',
  },
  {
    total: 'connections.silent',
    name: 'millrace_client_connections_silent_total',
    help: 'Client connections closed because nobody answered a PING.',
  },
  {
    total: 'prompts.warm',
    name: 'millrace_prompts_warm_total',
    help: 'Prompts of PREFIX models sent to an endpoint that had their beginning.',
  },
  {
    total: 'prompts.busy',
    name: 'millrace_prompts_busy_total',
    help: 'Prompts whose beginning some endpoint had, which were sent elsewhere because of its load.',
  },
  { total: 'prompts.cold', name: 'millrace_prompts_cold_total', help: 'Prompts of which no endpoint was known to have the beginning.' },
  { total: 'prompts.recorded', name: 'millrace_prompt_blocks_total', help: 'Blocks of prompts that the prefix table wrote down.' },
  {
    total: 'prompts.evicted',
    name: 'millrace_prompt_blocks_evicted_total',
    help: 'Blocks that gave way to others in the prefix table while they still counted.',
  },
  { total: 'dns.lookups', name: 'millrace_dns_lookups_total', help: 'Names of endpoints looked up.' },
  { total: 'dns.failures', name: 'millrace_dns_failures_total', help: 'Look-ups that failed; the last good addresses stay.' },
  { total: 'frames.in', name: 'millrace_http2_frames_in_total', help: 'HTTP/2 frames read, both sides.' },
  { total: 'resets.in', name: 'millrace_http2_resets_in_total', help: 'RST_STREAM frames read, both sides.' },
  {
    total: 'resets.out',
    name: 'millrace_http2_resets_out_total',
    help: 'Streams reset because a peer broke the protocol or opened too many.',
  },
]

const GAUGES: readonly Source[] = [
  { total: 'requests.open', name: 'millrace_requests_open', help: 'Requests in progress.' },
  { total: 'own-calls.open', name: 'millrace_own_calls_open', help: 'Calls to health and reflection that are open.' },
  { total: 'ledger.open', name: 'millrace_ledger_open_attempts', help: 'Upstream attempts charged and not settled.' },
  { total: 'ledger.burning', name: 'millrace_ledger_burning', help: 'Cancelled attempts that their endpoint may still be working on.' },
  {
    total: 'outliers.out',
    name: 'millrace_outliers_out',
    help: 'Endpoints left out because of their answers, each as often as workers do so.',
  },
  { total: 'outliers.probation', name: 'millrace_outliers_probation', help: 'Endpoints on their way back, with a part of their weight.' },
  { total: 'buffered', name: 'millrace_relay_buffered_bytes', help: 'Bytes that wait in the relay for a slow side’s credit.' },
  {
    total: 'backlog',
    name: 'millrace_socket_backlog_bytes',
    help: 'Bytes on their way to clients’ sockets that the sockets have not taken.',
  },
  { total: 'retry-copies', name: 'millrace_retry_copy_bytes', help: 'Bytes of requests kept for a second attempt.' },
  { total: 'shadows.open', name: 'millrace_shadows_open', help: 'Copies of requests that their models are at work on.' },
  { total: 'shadow-copies', name: 'millrace_shadow_copy_bytes', help: 'Bytes of requests kept for such copies.' },
  {
    total: 'answers-held',
    name: 'millrace_answers_held_bytes',
    help: 'Bytes of answers that wait for their turn in streams of several requests.',
  },
  { total: 'waiting-bytes', name: 'millrace_queue_bytes', help: 'Bytes that waiting requests hold, or may come to hold.' },
  { total: 'window-budget-used', name: 'millrace_window_budget_used_bytes', help: 'Stream windows granted beyond the start size.' },
  { total: 'connections.down', name: 'millrace_client_connections', help: 'Open client connections.' },
  { total: 'handshakes', name: 'millrace_tls_handshakes_open', help: 'TLS handshakes of clients, begun or waiting for their turn.' },
  { total: 'connections.up', name: 'millrace_endpoint_connections', help: 'Open connections to endpoints.' },
]

export type MetricsSources = {
  readonly primary: Primary
  readonly following: Following | undefined
  readonly staticReloads: { readonly good: number; readonly bad: number }
  readonly tls: ListenerTls | undefined
  readonly own: OwnVitals
  readonly version: string
}

export function createProxyMetrics({ primary, following, staticReloads, tls, own, version }: MetricsSources): MetricsPage {
  const mesh = following?.mesh
  const registry = newRegistry()
  const registers = [registry]
  const sumOf = (total: string): number => primary.reports.reduce((sum, report) => sum + (report.totals[total] ?? 0), 0)
  /** Totals live in the workers; a counter here is set to their sum whenever the page is read. */
  const counter = (name: string, help: string, read: () => number): void => {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read())
      },
    })
  }
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read())
      },
    })
  }
  const everCounted = (total: string): number => sumOf(total) + (primary.departedTotals[total] ?? 0)
  for (const { total, name, help } of COUNTERS) counter(name, help, () => everCounted(total))
  for (const { total, name, help } of GAUGES) gauge(name, help, () => sumOf(total))
  labelled(primary, registers, 'millrace_responses_total', 'Requests ended, by gRPC status.', 'status', 'status.')
  labelled(primary, registers, 'millrace_refusals_total', 'Requests refused by the proxy, by reason.', 'reason', 'refused.')
  labelled(primary, registers, 'millrace_shadows_total', 'Copies of requests sent to a shadow, by how they ended.', 'result', 'shadow.')
  labelled(
    primary,
    registers,
    'millrace_aimed_total',
    'Requests of models with aliases, splits or fall-backs, by what decided.',
    'why',
    'aimed.',
  )
  labelled(
    primary,
    registers,
    'millrace_http2_guards_total',
    'Times that a guard closed a connection or refused a block.',
    'guard',
    'guard.',
  )
  labelled(primary, registers, 'millrace_connections_total', 'Client connections taken, by what they speak.', 'protocol', 'arrived.')
  labelled(
    primary,
    registers,
    'millrace_connections_refused_total',
    'Client connections closed before a request, by reason.',
    'reason',
    'turned-away.',
  )
  labelled(
    primary,
    registers,
    'millrace_outlier_decisions_total',
    'Endpoints sent away by reason, spared, or let back by panic.',
    'decision',
    'outlier.',
  )
  waiting(primary, registers)
  gauge('millrace_endpoint_count', 'Endpoints in the snapshot.', () => primary.endpointCount)
  counter('millrace_worker_crashes_total', 'Workers that died and were replaced.', () => primary.crashes)
  counter('millrace_worker_hangs_total', 'Workers that said nothing any more and were killed.', () => primary.hangs)
  counter('millrace_worker_restarts_total', 'Workers replaced on request (SIGUSR2).', () => primary.restarts)
  gauge(
    'millrace_endpoints_unnamed',
    'Endpoints without a row of their own on this page: they are endpoint="other".',
    () => primary.sums.unshown,
  )
  addProcessMetrics(registry, primary, own, version)
  counter('millrace_static_reloads_total', 'Changes of --static or --models files that were taken.', () => staticReloads.good)
  counter(
    'millrace_static_reloads_refused_total',
    'Changes of such files that were wrong; the last good one stayed.',
    () => staticReloads.bad,
  )
  counter('millrace_state_saves_total', 'Times that the picture was saved to --state-dir.', () => following?.saver?.saves ?? 0)
  counter('millrace_state_save_failures_total', 'Times that it could not be saved.', () => following?.saver?.failures ?? 0)
  gauge('millrace_mesh_connected', '1 while the control plane’s stream is open.', () => Number(mesh?.connected ?? false))
  counter('millrace_mesh_acks_total', 'Deltas accepted.', () => mesh?.acks ?? 0)
  counter('millrace_mesh_nacks_total', 'Deltas refused; the last good state stayed.', () => mesh?.nacks ?? 0)
  if (tls !== undefined) addTlsMetrics(registry, tls)
  return {
    contentType: registry.contentType,
    metrics: () => registry.metrics(),
    *more() {
      yield histogramPage(everCounted)
      yield* endpointPage(primary.sums)
    },
  }
}

function waiting(primary: Primary, registers: Registry[]): void {
  new Gauge({
    name: 'millrace_queue_requests',
    help: 'Requests that wait for their turn, by priority band.',
    labelNames: ['band'],
    registers,
    collect() {
      this.reset()
      for (const { totals } of primary.reports)
        for (const [key, count] of Object.entries(totals))
          if (key.startsWith('waiting.')) this.inc({ band: key.slice('waiting.'.length) }, count)
    },
  })
}

function labelled(primary: Primary, registers: Registry[], name: string, help: string, label: string, prefix: string): void {
  new Counter({
    name,
    help,
    labelNames: [label],
    registers,
    collect() {
      this.reset()
      for (const totals of [primary.departedTotals, ...primary.reports.map((report) => report.totals)])
        for (const [key, count] of Object.entries(totals))
          if (key.startsWith(prefix)) this.inc({ [label]: key.slice(prefix.length) }, count)
    },
  })
}
