/** The charts of docs/benchmarks.md, each from a run's numbers alone. */
import { Chart } from '../../core/show/chart.ts'
import { showNumber } from '../../core/show/table.ts'
import type { ComparisonRun, MemoryRun } from './records.ts'
import { LABELS } from './report.ts'
import type { Scenario } from './scenarios.ts'
import { summarise } from './statistics.ts'
import { TARGETS } from './targets.ts'

const COLOURS: Readonly<Record<string, string>> = {
  millrace: '#e8590c',
  envoy: '#8b5cf6',
  haproxy: '#2f81f7',
  nginx: '#2da44e',
  'tcp-splice': '#8c959f',
}
const RIVALS = ['envoy', 'haproxy', 'nginx', 'tcp-splice']
const WIDTH = 860

const colourOf = (peer: string): string => COLOURS[peer] ?? '#8c959f'
const entries = (peers: readonly string[]) => peers.map((peer) => [peer, colourOf(peer)] as const)

const RATIO_MAX = 2
const LEFT = 96
const RIGHT = 56
const BAR = 12
const ROW_GAP = 12
/** A label that would lie under the mark of a target moves behind it. */
const LABEL_ROOM = 0.09

/** One group of bars per scenario: ours divided by each rival's, a line at 1, and a mark where a target stands. */
export function ratioChart(run: ComparisonRun, scenarios: readonly Scenario[]): string {
  const groups = scenarios
    .map(({ name, compare }) => ({
      name,
      compare,
      bars: RIVALS.flatMap((peer) => run.ratios.filter((one) => one.scenario === name && one.peer === peer)),
    }))
    .filter((group) => group.bars.length > 0)
  const top = 66
  const height = top + groups.reduce((sum, group) => sum + Math.max(group.bars.length * BAR, 26) + ROW_GAP, 0) + 34
  const chart = new Chart(WIDTH, height, 'Millrace divided by each peer: below 1 it takes less')
  chart.legend(
    16,
    48,
    entries(RIVALS).map(([name, colour]) => [`/ ${name}`, colour] as const),
  )
  chart.text(WIDTH - 16, 48, '▏target, at most', 'small quiet', 'end')
  const x = (ratio: number): number => LEFT + (Math.min(ratio, RATIO_MAX) / RATIO_MAX) * (WIDTH - LEFT - RIGHT)
  for (let tick = 0; tick <= RATIO_MAX; tick += 0.25) {
    chart.line(x(tick), top - 6, x(tick), height - 30, tick === 1 ? 'one' : 'grid')
    chart.text(x(tick), height - 14, String(tick), 'small quiet', 'middle')
  }
  let y = top
  for (const { name, compare, bars } of groups) {
    const tall = Math.max(bars.length * BAR, 26)
    chart.text(LEFT - 10, y + tall / 2 - 1, name, 'name', 'end')
    chart.text(LEFT - 10, y + tall / 2 + 12, LABELS[compare].replace('CPU µs/', 'CPU/'), 'small quiet', 'end')
    for (const [i, { peer, ratio }] of bars.entries()) {
      const at = y + (tall - bars.length * BAR) / 2 + i * BAR
      const target = TARGETS.find((one) => one.scenario === name && one.peer === peer)
      chart.bar(x(0), at, x(ratio) - x(0), BAR - 2, colourOf(peer), `${name} / ${peer}: ${ratio.toFixed(2)}`)
      chart.text(
        x(target !== undefined && target.atMost > ratio && target.atMost < ratio + LABEL_ROOM ? target.atMost : ratio) + 5,
        at + BAR - 2.5,
        `${ratio > RATIO_MAX ? '→ ' : ''}${ratio.toFixed(2)}`,
        'small',
      )
      if (target !== undefined) chart.line(x(target.atMost), at - 0.5, x(target.atMost), at + BAR - 1, 'aim')
    }
    y += tall + ROW_GAP
  }
  return chart.toString()
}

const PANELS_ACROSS = 2
const PANEL_ROW = 17

/** One panel per scenario with what it is compared by, each on a scale of its own. */
export function costChart(run: ComparisonRun, scenarios: readonly Scenario[], title: string): string {
  const summaries = summarise(run.rows)
  const shown = ['millrace', ...RIVALS]
  const panels = scenarios
    .map(({ name, compare }) => ({
      title: `${name}, ${LABELS[compare]}`,
      bars: shown.flatMap((peer) => {
        const value = summaries.find((one) => one.scenario === name && one.peer === peer)?.values[compare]
        return value === undefined ? [] : [{ peer, value }]
      }),
    }))
    .filter((panel) => panel.bars.length > 1)
  const panelHeight = 26 + shown.length * PANEL_ROW + 14
  const chart = new Chart(WIDTH, 44 + Math.ceil(panels.length / PANELS_ACROSS) * panelHeight, title)
  const panelWidth = WIDTH / PANELS_ACROSS
  for (const [i, panel] of panels.entries()) {
    const [left, top] = [(i % PANELS_ACROSS) * panelWidth + 16, 44 + Math.floor(i / PANELS_ACROSS) * panelHeight]
    const most = Math.max(...panel.bars.map((one) => one.value))
    chart.text(left, top + 14, panel.title, 'name')
    for (const [row, { peer, value }] of panel.bars.entries()) {
      const y = top + 24 + row * PANEL_ROW
      const length = (value / most) * (panelWidth - 160)
      chart.text(left + 68, y + 11, peer, 'small', 'end')
      chart.bar(left + 76, y, length, PANEL_ROW - 4, colourOf(peer), `${peer}: ${showNumber(value)}`)
      chart.text(left + 76 + length + 5, y + 11, showNumber(value), 'small')
    }
  }
  return chart.toString()
}

const LINES = [
  ['resident set of all processes', '#2f81f7', 'rssKib'],
  ['heap of all after a collection', '#e8590c', 'heapKib'],
  ['memory of all outside the heap', '#2da44e', 'externalKib'],
] as const

/** What each sample had, over the minutes; the axis begins at 0, so that a flat line is one. */
export function memoryChart(run: MemoryRun): string {
  const [height, top, bottom, left, right] = [300, 66, 36, 60, 24]
  const chart = new Chart(WIDTH, height, `Memory over ${Number(run.minutes.toFixed(1))} minutes of mixed load, MiB`)
  chart.legend(
    16,
    48,
    LINES.map(([name, colour]) => [name, colour] as const),
  )
  const most = Math.max(...run.samples.flatMap((one) => [one.rssKib, one.heapKib, one.externalKib])) / 1024
  const step = [10, 20, 50, 100, 200, 500].find((size) => most / size <= 6) ?? 1_000
  const ceiling = Math.ceil((most * 1.05) / step) * step
  const x = (minute: number): number => left + (minute / run.minutes) * (WIDTH - left - right)
  const y = (mib: number): number => height - bottom - (mib / ceiling) * (height - top - bottom)
  for (let mib = 0; mib <= ceiling; mib += step) {
    chart.line(left, y(mib), WIDTH - right, y(mib), 'grid')
    chart.text(left - 8, y(mib) + 4, String(mib), 'small quiet', 'end')
  }
  const minuteStep = run.minutes > 20 ? 5 : 1
  for (let minute = 0; minute <= run.minutes; minute += minuteStep)
    chart.text(x(minute), height - bottom + 18, String(minute), 'small quiet', 'middle')
  for (const [, colour, of] of LINES)
    chart.path(
      run.samples.map((one) => [x(one.minute), y(one[of] / 1024)] as const),
      colour,
    )
  return chart.toString()
}
