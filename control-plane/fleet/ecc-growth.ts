/**
 * Judges how fast a GPU's count of corrected memory errors grows. Such errors harm nothing, but many of them announce the one that cannot be corrected, so
 * growth takes weight first and lets go of the GPU next. Errors fill a bucket that time empties: so many an hour are never held against a GPU, and what is
 * held against it ends when the bucket is half empty again, not when it is just below its mark. Invariant: only growth counts, never the count itself, so
 * it does not matter whether it is one since the driver was loaded or one of the GPU's whole life.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'

export type EccGrowth = {
  /** As it was last told. */
  readonly count: bigint
  /** What was in the bucket at that time, in errors; and which mark it had passed and not fallen half below. */
  readonly level: number
  readonly mark: EccMark
  readonly at: Millis
}

export type EccMark = 'none' | 'slower' | 'leave'

/** The first count says nothing, nor does one that began anew: the GPU was reset, or its driver loaded again. A count that cannot be read stays what it was. */
export function stepEccGrowth(before: EccGrowth | undefined, count: bigint | undefined, now: Millis): EccGrowth | undefined {
  if (count === undefined || count === before?.count) return before
  if (before === undefined || count < before.count) return { count, level: 0, mark: 'none', at: now }
  // Not more than it takes to leave: how long it is left alone has an end however many there were.
  const level = Math.min(levelAt(before, now) + Number(count - before.count), limits.eccCorrectedLeave)
  return { count, level, mark: markOf(eccMark(before, now), level), at: now }
}

/** The mark that holds now. */
export const eccMark = (growth: EccGrowth | undefined, now: Millis): EccMark =>
  growth === undefined ? 'none' : markOf(growth.mark, levelAt(growth, now))

/** When time alone lifts the mark, or makes it a milder one. */
export function nextEccAt(growth: EccGrowth | undefined, now: Millis): Millis | undefined {
  if (growth === undefined) return undefined
  const mark = eccMark(growth, now)
  if (mark === 'none') return undefined
  return millis(growth.at + (growth.level - MARKS[mark] / 2) / EMPTIED_PER_MS + 1)
}

const MARKS = { slower: limits.eccCorrectedSlower, leave: limits.eccCorrectedLeave } as const
const EMPTIED_PER_MS = limits.eccCorrectedPerHour / 3_600_000

const levelAt = ({ level, at }: EccGrowth, now: Millis): number => Math.max(0, level - (now - at) * EMPTIED_PER_MS)

function markOf(before: EccMark, level: number): EccMark {
  if (level >= MARKS.leave || (before === 'leave' && level > MARKS.leave / 2)) return 'leave'
  if (level >= MARKS.slower || (before !== 'none' && level > MARKS.slower / 2)) return 'slower'
  return 'none'
}
