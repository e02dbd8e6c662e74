/** From the rows of all rounds to one number each. Rounds are interleaved, so a ratio is formed inside a round and the median taken of the ratios. */

export const METRICS = [
  'requestsPerSecond',
  'messagesPerSecond',
  'errors',
  'lost',
  'p50Micros',
  'p99Micros',
  'p999Micros',
  'maxMicros',
  'cpuPerRequestMicros',
  'cpuPerMessageMicros',
  'rssMib',
  'rssPerStreamKib',
  'retries',
  'requests',
  'deadUntilMillis',
] as const
export type Metric = (typeof METRICS)[number]
/** An unknown value is absent. */
export type Values = Readonly<Partial<Record<Metric, number>>>

export type Row = {
  readonly round: number
  readonly scenario: string
  readonly peer: string
  readonly values: Values
  /** Why there are no values, or what the first error was. */
  readonly note?: string | undefined
}

export type Summary = { readonly scenario: string; readonly peer: string; readonly values: Values; readonly note?: string }

export type Ratio = { readonly scenario: string; readonly peer: string; readonly metric: Metric; readonly ratio: number }

/** What adds up over the rounds instead of being a median: one error in any round is an error. */
const SUMMED: readonly Metric[] = ['errors', 'lost']

export function median(values: readonly number[]): number | undefined {
  const sorted = [...values].sort((a, b) => a - b)
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  return low === undefined || high === undefined ? undefined : (low + high) / 2
}

export function summarise(rows: readonly Row[]): Summary[] {
  return [...Map.groupBy(rows, (row) => `${row.scenario} ${row.peer}`).values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const values: Partial<Record<Metric, number>> = {}
    for (const metric of METRICS) {
      const seen = group.flatMap((row) => row.values[metric] ?? [])
      const value = SUMMED.includes(metric) && seen.length > 0 ? seen.reduce((sum, one) => sum + one, 0) : median(seen)
      if (value !== undefined) values[metric] = value
    }
    const note = group.find((row) => row.note !== undefined)?.note
    return [{ scenario: first.scenario, peer: first.peer, values, ...(note === undefined ? {} : { note }) }]
  })
}

/** Ours divided by each peer's, below 1 is less. A side that is missing or zero in a round gives no ratio for that round. */
export function ratiosOf(ours: string, rows: readonly Row[], metricOf: (scenario: string) => Metric): Ratio[] {
  const own = new Map(rows.filter((row) => row.peer === ours).map((row) => [`${row.round} ${row.scenario}`, row.values]))
  const others = rows.filter((row) => row.peer !== ours)
  return [...Map.groupBy(others, (row) => `${row.scenario} ${row.peer}`).values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const metric = metricOf(first.scenario)
    const each = group.flatMap((row) => {
      const [mine, theirs] = [own.get(`${row.round} ${row.scenario}`)?.[metric], row.values[metric]]
      return mine === undefined || theirs === undefined || theirs <= 0 || mine <= 0 ? [] : [mine / theirs]
    })
    const ratio = median(each)
    return ratio === undefined ? [] : [{ scenario: first.scenario, peer: first.peer, metric, ratio }]
  })
}

/** The straight line nearest to the points (minute, KiB): its slope, and the standard error of it. */
export function slopeOf(points: readonly (readonly [number, number])[]): {
  readonly kibPerMinute: number
  readonly errorKibPerMinute: number
} {
  const count = points.length
  const mean = (of: (point: readonly [number, number]) => number): number => points.reduce((sum, one) => sum + of(one), 0) / count
  const [meanX, meanY] = [mean(([x]) => x), mean(([, y]) => y)]
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  if (count < 3 || spread === 0) return { kibPerMinute: 0, errorKibPerMinute: Number.POSITIVE_INFINITY }
  const kibPerMinute = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread
  const residue = points.reduce((sum, [x, y]) => sum + (y - meanY - kibPerMinute * (x - meanX)) ** 2, 0)
  return { kibPerMinute, errorKibPerMinute: Math.sqrt(residue / (count - 2) / spread) }
}
