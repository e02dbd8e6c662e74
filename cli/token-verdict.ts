/**
 * Decides from the times of two sets of like streams, one direct and one through a gateway, whether the gateway buffers. What shows it is not that
 * tokens come late but that some come too soon after the one before: a gateway that gathers tokens hands on several at once, and no gap can
 * become smaller than the server made it without one before it having waited.
 */

/** Of one side; all times in milliseconds. */
export type SideTimes = {
  readonly ttft: readonly number[]
  readonly gaps: readonly number[]
  readonly firstGaps: readonly number[]
  readonly lastGaps: readonly number[]
  readonly tokens: number
}

export type Spread = {
  readonly p1Ms: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export type Verdict =
  | { readonly seen: 'no-buffering' }
  | { readonly seen: 'buffering'; readonly reasons: readonly string[] }
  | { readonly seen: 'unclear'; readonly why: string }

export type Comparison = {
  readonly streams: { readonly direct: number; readonly through: number }
  readonly tokens: { readonly direct: number; readonly through: number }
  readonly ttft: { readonly direct: Spread; readonly through: Spread }
  /** What the gateway adds to the time to the first token; `p50ErrorMs` is half of the 95 % interval. */
  readonly ttftAdded: { readonly p50Ms: number; readonly p50ErrorMs: number; readonly p99Ms: number }
  readonly gaps: { readonly direct: Spread; readonly through: Spread }
  /** Gaps that are smaller than direct ones are, as shares of all. */
  readonly small: { readonly belowMs: number; readonly directShare: number; readonly throughShare: number }
  readonly verdict: Verdict
}

/** A gap counts as small below this share of the direct first percentile … */
const SMALL_OF_P1 = 0.5
/** … or of the direct pace, where a busy machine blurs the percentile. */
const SMALL_OF_PACE = 0.1
/** More small gaps than direct by this share of all is not what a busy machine does; it is also the least that is told from chance. */
const EXCESS_MIN = 0.02
const STANDARD_ERRORS = 4
/** Tokens that come closer than this share a read of the socket with or without a gateway. */
const PACE_MIN_MS = 1
/** A server of which more gaps are small than this sends in batches itself. */
const DIRECT_SMALL_MAX = 0.25
const GAPS_MIN = 30
/** A first token that is late by this much of a gap may have waited for the second. */
const HELD_MIN = 0.5
/** 1.96 · √(π/2) / 1.349 for times that spread like a bell. */
const INTERVAL_OF_MIDDLE_HALF = 1.82

export function compareSides(direct: SideTimes, through: SideTimes): Comparison {
  const [ttft, gaps] = [
    { direct: spreadOf(direct.ttft), through: spreadOf(through.ttft) },
    { direct: spreadOf(direct.gaps), through: spreadOf(through.gaps) },
  ]
  const paceMs = meanOf(direct.gaps)
  const belowMs = Math.max(SMALL_OF_P1 * gaps.direct.p1Ms, SMALL_OF_PACE * paceMs)
  const small = { belowMs, directShare: shareBelow(direct.gaps, belowMs), throughShare: shareBelow(through.gaps, belowMs) }
  const ttftAdded = {
    p50Ms: ttft.through.p50Ms - ttft.direct.p50Ms,
    p50ErrorMs: Math.hypot(medianError(direct.ttft), medianError(through.ttft)),
    p99Ms: ttft.through.p99Ms - ttft.direct.p99Ms,
  }
  const known = {
    streams: { direct: direct.ttft.length, through: through.ttft.length },
    tokens: { direct: direct.tokens, through: through.tokens },
    ...{ ttft, ttftAdded, gaps, small },
  }
  return { ...known, verdict: judge(known, paceMs, direct, through) }
}

function judge({ small, ttftAdded }: Omit<Comparison, 'verdict'>, paceMs: number, direct: SideTimes, through: SideTimes): Verdict {
  const unclear = (why: string): Verdict => ({ seen: 'unclear', why })
  if (direct.gaps.length < GAPS_MIN || through.gaps.length < GAPS_MIN)
    return unclear(
      `only ${Math.min(direct.gaps.length, through.gaps.length)} gaps were seen, ${GAPS_MIN} are needed: ask for more tokens or streams`,
    )
  if (paceMs < PACE_MIN_MS)
    return unclear(
      `the server sends a token every ${showMs(paceMs)} ms, too fast to tell: choose a model or settings with ${PACE_MIN_MS} ms or more`,
    )
  if (small.directShare > DIRECT_SMALL_MAX)
    return unclear(
      `${percent(small.directShare)} of the direct gaps are small: the server itself sends tokens in batches, or this machine is too busy`,
    )
  const reasons: string[] = []
  const excess = small.throughShare - small.directShare
  if (excess > Math.max(EXCESS_MIN, STANDARD_ERRORS * shareError(small, direct.gaps.length, through.gaps.length)))
    reasons.push(
      `${percent(small.throughShare)} of its gaps are below ${showMs(small.belowMs)} ms, ${percent(small.directShare)} of the direct ones`,
    )
  if (ttftAdded.p50Ms - ttftAdded.p50ErrorMs > HELD_MIN * paceMs) {
    if (isHeld(direct.firstGaps, through.firstGaps)) reasons.push('the first token comes late and the second right behind it')
    if (isHeld(direct.lastGaps, through.lastGaps)) reasons.push('the first token comes late and the last right behind its predecessor')
  }
  return reasons.length === 0 ? { seen: 'no-buffering' } : { seen: 'buffering', reasons }
}

const isHeld = (direct: readonly number[], through: readonly number[]): boolean => quantile(through, 0.5) < HELD_MIN * quantile(direct, 0.5)

const meanOf = (all: readonly number[]): number => all.reduce((sum, one) => sum + one, 0) / Math.max(1, all.length)

const shareBelow = (all: readonly number[], limit: number): number =>
  all.length === 0 ? 0 : all.filter((one) => one < limit).length / all.length

function shareError(small: Comparison['small'], directCount: number, throughCount: number): number {
  const variance = (share: number, count: number): number => (share * (1 - share)) / count
  return Math.sqrt(variance(small.directShare, directCount) + variance(small.throughShare, throughCount))
}

/** Half of the 95 % interval of a median: 1.96 standard errors, the deviation taken from the middle half, which no outlier moves. */
const medianError = (all: readonly number[]): number =>
  (INTERVAL_OF_MIDDLE_HALF * (quantile(all, 0.75) - quantile(all, 0.25))) / Math.sqrt(Math.max(1, all.length))

const spreadOf = (all: readonly number[]): Spread => ({
  p1Ms: quantile(all, 0.01),
  p50Ms: quantile(all, 0.5),
  p99Ms: quantile(all, 0.99),
  maxMs: quantile(all, 1),
})

/** By nearest rank; 0 of nothing. */
export function quantile(all: readonly number[], q: number): number {
  const sorted = [...all].sort((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) * q + 0.5)] ?? 0
}

/** From when each message of a stream came; `asked` is when the request was sent. */
export function sideOf(streams: readonly { readonly asked: number; readonly came: readonly number[] }[]): SideTimes {
  const gapsOf = streams.map(({ came }) => came.slice(1).map((at, i) => at - (came[i] ?? at)))
  return {
    ttft: streams.flatMap(({ asked, came }) => (came[0] === undefined ? [] : [came[0] - asked])),
    gaps: gapsOf.flat(),
    firstGaps: gapsOf.flatMap((gaps) => gaps[0] ?? []),
    lastGaps: gapsOf.flatMap((gaps) => gaps.at(-1) ?? []),
    tokens: streams.reduce((sum, { came }) => sum + came.length, 0),
  }
}

export const percent = (share: number): string => `${Number((share * 100).toPrecision(2))} %`
export const showMs = (ms: number): string => (Math.abs(ms) >= 100 ? ms.toFixed(0) : Math.abs(ms) >= 10 ? ms.toFixed(1) : ms.toFixed(2))
