/** What the processes of a proxy say of themselves: turns of the event loop, memory, CPU time, and each worker's share. Labels are workers' places. */
import { Counter, Gauge, type Registry } from '../../core/edge/metrics.ts'
import { systemClock } from '../../core/edge/system-clock.ts'
import { TurnWindow } from '../share/turn-window.ts'
import type { Primary } from './primary.ts'
import { VitalSigns, type Vitals } from './vitals.ts'

const PERIOD_MS = 250

/** The primary's own. */
export class OwnVitals {
  readonly turns = new TurnWindow()
  readonly #signs: VitalSigns
  readonly #timer: NodeJS.Timeout
  last: Vitals

  constructor(grainMs: number) {
    this.#signs = new VitalSigns(grainMs)
    this.last = this.#signs.read()
    this.#timer = setInterval(() => {
      this.last = this.#signs.read()
      this.turns.note(this.last.longestTurn, systemClock.now())
    }, PERIOD_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#signs.stop()
  }
}

export function addProcessMetrics(registry: Registry, primary: Primary, own: OwnVitals, version: string): void {
  const registers = [registry]
  const startedAt = Math.round(Date.now() / 1_000 - process.uptime())
  const sumOf = (read: (vitals: Vitals) => number): number =>
    primary.reports.reduce((sum, report) => sum + read(report.vitals), read(own.last))
  const gauge = (name: string, help: string, labelNames: string[], rows: () => Iterable<readonly [string[], number]>): void => {
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        for (const [labels, value] of rows()) this.set(Object.fromEntries(labelNames.map((label, at) => [label, labels[at] ?? ''])), value)
      },
    })
  }
  const counter = (name: string, help: string, labelNames: string[], rows: () => Iterable<readonly [string[], number]>): void => {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      collect() {
        this.reset()
        for (const [labels, value] of rows()) this.inc(Object.fromEntries(labelNames.map((label, at) => [label, labels[at] ?? ''])), value)
      },
    })
  }
  const turns = (read: (window: TurnWindow) => number) => (): [string[], number][] => [
    [['primary'], read(own.turns)],
    ...primary.turns.map((window, place): [string[], number] => [[`worker-${place}`], read(window)]),
  ]
  const ofWorkers = (read: (report: (typeof primary.reports)[number]) => number) =>
    function* (): Iterable<[string[], number]> {
      for (const { place, report, state } of primary.seats)
        if (report !== undefined && state === 'serving') yield [[String(place)], read(report)]
    }
  gauge('millrace_build_info', 'Always 1; what runs is in the labels.', ['version', 'node'], () => [[[version, process.versions.node], 1]])
  gauge(
    'millrace_event_loop_turn_seconds',
    'The longest turn of the event loop in the last 5 to 10 s, as far as a timer of --turn-grain-ms sees it.',
    ['process'],
    turns((window) => window.worst(systemClock.now()) / 1_000),
  )
  counter(
    'millrace_event_loop_long_turns_total',
    'Looks (each 50 ms in a worker that relays, 250 ms in the primary) in which a turn took more than 5 ms.',
    ['process'],
    turns((window) => window.long),
  )
  gauge(
    'millrace_worker_client_connections',
    'Open client connections, by worker.',
    ['worker'],
    ofWorkers((report) => report.open),
  )
  gauge(
    'millrace_worker_requests_open',
    'Requests in progress, by worker.',
    ['worker'],
    ofWorkers((report) => report.totals['requests.open'] ?? 0),
  )
  gauge(
    'millrace_worker_resident_memory_bytes',
    'Resident memory, by worker.',
    ['worker'],
    ofWorkers((report) => report.vitals.rssBytes),
  )
  gauge(
    'millrace_worker_heap_bytes',
    'JavaScript heap in use, by worker.',
    ['worker'],
    ofWorkers((report) => report.vitals.heapBytes),
  )
  gauge('millrace_workers', 'Worker processes, by what they do.', ['state'], () => {
    const counts = { starting: 0, serving: 0, leaving: 0 }
    for (const { state } of primary.seats) counts[state]++
    return Object.entries(counts).map(([state, count]) => [[state], count] as const)
  })
  counter('process_cpu_seconds_total', 'CPU time of the primary and its workers, past ones included.', [], () => [
    [[], sumOf((vitals) => vitals.cpuSeconds) + primary.departedCpuSeconds],
  ])
  gauge('process_resident_memory_bytes', 'Resident memory of the primary and its workers.', [], () => [
    [[], sumOf((vitals) => vitals.rssBytes)],
  ])
  gauge('process_start_time_seconds', 'When the primary started, in seconds since 1970.', [], () => [[[], startedAt]])
}
