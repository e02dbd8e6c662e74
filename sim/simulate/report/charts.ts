/** The chart of one scenario: what each way of choosing does as the load grows, from the results' numbers alone. */
import { Chart } from '../../../core/show/chart.ts'
import type { Measures } from './measures.ts'
import type { Results, Row } from './results.ts'

/** The product's are strong, the default strongest; rivals of one family share a hue. */
const COLOURS: Readonly<Record<string, string>> = {
  LEAST_WAIT: '#e8590c',
  LEAST_REQUEST: '#f0a35e',
  ROUND_ROBIN: '#c9a27e',
  'round-robin': '#8c959f',
  'capacity-rr': '#57606a',
  'least-request-p2c': '#2f81f7',
  'peak-ewma': '#1f9eb3',
  prequal: '#2da44e',
  epp: '#8b5cf6',
  'smg-cache-aware': '#c026d3',
  'smg-wait': '#e11d8f',
}
const PALETTE = ['#b45309', '#0f766e', '#4d7c0f', '#1d4ed8', '#be123c', '#7c3aed', '#0369a1', '#a16207']

const STRONGEST = 'LEAST_WAIT'
const STRONGEST_WIDTH = 4

type Panel = {
  readonly title: string
  readonly scale: 'log' | 'even'
  readonly of: (measures: Measures) => number | undefined
}

const ms = (value: number | undefined): number | undefined => (value === undefined ? undefined : Math.max(1, value))

const PANELS: readonly Panel[] = [
  { title: 'time to first token, p50, ms', scale: 'log', of: (m) => ms(m.ttftMs?.p50) },
  { title: 'time to first token, p99, ms', scale: 'log', of: (m) => ms(m.ttftMs?.p99) },
  { title: 'latency, p50, ms', scale: 'log', of: (m) => ms(m.latencyMs?.p50) },
  { title: 'latency, p99, ms', scale: 'log', of: (m) => ms(m.latencyMs?.p99) },
  { title: 'good answers a second', scale: 'even', of: (m) => m.goodPerSecond },
  {
    title: 'refused, failed or late, % of requests',
    scale: 'even',
    of: (m) => (100 * (m.refused + m.failed + m.late)) / Math.max(1, m.requests),
  },
]

const WIDTH = 860
const PANEL = { width: WIDTH / 2, height: 210, left: 54, right: 14, top: 30, bottom: 34 } as const
const LEGEND_COLUMNS = 4
const LEGEND_ROW = 18

export function loadChart({ scenario, about, rows }: Results): string {
  const names = [...new Set(rows.map(({ policy }) => policy))]
  const legendRows = Math.ceil(names.length / LEGEND_COLUMNS)
  const top = 52 + legendRows * LEGEND_ROW
  const chart = new Chart(
    WIDTH,
    top + Math.ceil(PANELS.length / 2) * PANEL.height,
    `${scenario}: by load, as a share of the fleet's capacity`,
  )
  chart.text(16, 44, about, 'small quiet')
  for (const [at, name] of names.entries()) {
    const [column, row] = [at % LEGEND_COLUMNS, Math.floor(at / LEGEND_COLUMNS)]
    chart.legend(16 + (column * (WIDTH - 32)) / LEGEND_COLUMNS, 64 + row * LEGEND_ROW, [[name, colourOf(name, names)]])
  }
  for (const [at, panel] of PANELS.entries())
    drawPanel(chart, panel, rows, names, (at % 2) * PANEL.width, top + Math.floor(at / 2) * PANEL.height)
  return chart.toString()
}

function drawPanel(
  chart: Chart,
  { title, scale, of }: Panel,
  rows: readonly Row[],
  names: readonly string[],
  left: number,
  top: number,
): void {
  const loads = rows.map(({ load }) => load)
  const [first, last] = [Math.min(...loads), Math.max(...loads)]
  const values = rows.flatMap(({ measures }) => of(measures) ?? [])
  const { low, high, ticks } = scale === 'log' ? logScale(values) : evenScale(values)
  const [x0, x1, y0, y1] = [left + PANEL.left, left + PANEL.width - PANEL.right, top + PANEL.height - PANEL.bottom, top + PANEL.top]
  const x = (load: number): number => (last === first ? (x0 + x1) / 2 : x0 + ((load - first) / (last - first)) * (x1 - x0))
  const place =
    scale === 'log' ? (value: number) => Math.log(value / low) / Math.log(high / low) : (value: number) => (value - low) / (high - low)
  const y = (value: number): number => y0 - place(value) * (y0 - y1)
  chart.text(left + 16, top + 18, title, 'name')
  for (const tick of ticks) {
    chart.line(x0, y(tick), x1, y(tick), 'grid')
    chart.text(x0 - 6, y(tick) + 4, tick.toLocaleString('en'), 'small quiet', 'end')
  }
  for (const load of new Set(loads)) chart.text(x(load), y0 + 16, String(load), 'small quiet', 'middle')
  // The default is drawn last, above the others, and stronger.
  for (const name of names.toSorted((a, b) => Number(a === STRONGEST) - Number(b === STRONGEST)))
    chart.path(
      rows
        .filter(({ policy }) => policy === name)
        .flatMap(({ load, measures }) => {
          const value = of(measures)
          return value === undefined ? [] : [[x(load), y(value)] as const]
        }),
      colourOf(name, names),
      name === STRONGEST ? STRONGEST_WIDTH : undefined,
    )
}

const colourOf = (name: string, names: readonly string[]): string =>
  COLOURS[name] ?? (PALETTE[names.indexOf(name) % PALETTE.length] as string)

type Scale = { readonly low: number; readonly high: number; readonly ticks: readonly number[] }

/** Whole powers of ten around what there is, and no more: lines that lie on one another tell nothing. */
function logScale(values: readonly number[]): Scale {
  const [least, most] = values.length === 0 ? [1, 10] : [Math.min(...values), Math.max(...values)]
  const from = Math.floor(Math.log10(least))
  const to = Math.max(from + 1, Math.ceil(Math.log10(most)))
  return { low: 10 ** from, high: 10 ** to, ticks: Array.from({ length: to - from + 1 }, (_, at) => 10 ** (from + at)) }
}

function evenScale(values: readonly number[]): Scale {
  const most = Math.max(...values, 1)
  const step = [0.25, 0.5, 1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000].find((size) => most / size <= 5) ?? most / 5
  const count = Math.ceil(most / step)
  return { low: 0, high: count * step, ticks: Array.from({ length: count + 1 }, (_, at) => at * step) }
}
