/**
 * Decides which loads are worth telling: quantised, past a deadband. What does not move is told once and holds, for as long as this control plane would
 * notice its agent's silence; while it would not, each load is told again as its agent repeats it, with its age. Tellings are numbered in rounds, so that
 * a proxy that missed some gets what moved since.
 * Invariant: every endpoint has a line, also one whose load is unknown: becoming unknown is news like any other. One owner: the control loop.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { EndpointLoad } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type LoadRow, loadRow } from './load-row.ts'

/**
 * `holds`: told when it moves. `repeated`: told again and again, since nobody's silence would be noticed now. `ages`: the same, since this agent's would be
 * noticed late.
 */
export type Keeping = 'holds' | 'repeated' | 'ages'

/** The newest load of one endpoint, and what proxies were told last: undefined when it was never. */
type Line = {
  load: EndpointLoad | undefined
  sampledAt: Millis
  ages: boolean
  told: LoadRow | undefined
  /** What `told` was made of: one that repeats it keeps its bytes. */
  toldOf: EndpointLoad | undefined
  toldAt: Millis
  toldIn: number
}

/** Reports come by timers that may be early: without half a period's grace a load would wait for the next one, and be old by then. */
const REPEAT_DUE = limits.loadRefreshPeriod - limits.reportPeriod / 2

/** About 6 % of the value, never below one request. */
const countStep = (value: number): number => Math.max(1, 2 ** (Math.floor(Math.log2(Math.max(value, 1))) - 4))
const shareStep = (): number => 0.02

const FIELDS = [
  ['queueDepth', countStep],
  ['running', countStep],
  ['kvCacheUse', shareStep],
  ['tokensPerS', countStep],
  ['requestsPerS', countStep],
] as const satisfies readonly (readonly [keyof EndpointLoad, (value: number) => number])[]

/** Unknown stays absent. A load that is there at all is never rounded down to idle. */
export function quantise(load: EndpointLoad): EndpointLoad {
  const result: EndpointLoad = {}
  for (const [field, step] of FIELDS) {
    const value = load[field]
    if (value !== undefined) result[field] = roundTo(value, step(value))
  }
  return result
}

function roundTo(value: number, step: number): number {
  const steps = Math.round(value / step)
  return Math.round((steps === 0 && value > 0 ? 1 : steps) * step * 100) / 100
}

/** A value on the edge between two steps does not flap: it has to move a whole step away from what was sent. */
export function pastDeadband(sent: EndpointLoad | undefined, load: EndpointLoad | undefined): boolean {
  if (sent === undefined || load === undefined) return sent !== load
  return FIELDS.some(([field, step]) => {
    const [before, after] = [sent[field], load[field]]
    if (before === undefined || after === undefined) return before !== after
    return Math.abs(after - before) >= step(before) || (after === 0) !== (before === 0)
  })
}

export class LoadLane {
  readonly #lines = new Map<string, Line>()
  #due = new Set<string>()
  #flushedAt: Millis | undefined
  #round = 0

  /** Of the last telling. */
  get round(): number {
    return this.#round
  }

  /** Undefined: unknown. */
  note(id: string, load: EndpointLoad | undefined, now: Millis, keeping: Keeping = 'holds'): void {
    const line = this.#lines.get(id)
    const ages = keeping === 'ages'
    if (line === undefined) {
      this.#lines.set(id, { load, sampledAt: now, ages, told: undefined, toldOf: undefined, toldAt: now, toldIn: 0 })
      this.#due.add(id)
      return
    }
    // A heartbeat repeats the very object: only its age is new.
    const repeated = line.load === load && line.ages === ages
    line.load = load
    line.sampledAt = now
    line.ages = ages
    if (line.told === undefined) this.#due.add(id)
    else if (!repeated && (line.told.ages !== ages || pastDeadband(line.told.load, load))) this.#due.add(id)
    else if (keeping !== 'holds' && load !== undefined && now - line.toldAt >= REPEAT_DUE) this.#due.add(id)
  }

  forget(id: string): void {
    this.#lines.delete(id)
    this.#due.delete(id)
  }

  newest(id: string): EndpointLoad | undefined {
    return this.#lines.get(id)?.load
  }

  /** There is something to tell, and the period has passed since the last round. */
  isDue(period: Millis, now: Millis): boolean {
    return this.#due.size > 0 && (this.#flushedAt === undefined || now - this.#flushedAt >= period)
  }

  /**
   * A round: what to tell everybody now; nothing until the period has passed, and at most so much as keeps a tick short: the rest comes in the next.
   * Whoever `waits` is not known to proxies yet, and is told with a later one.
   */
  takeDue(period: Millis, now: Millis, waits: (id: string) => boolean): readonly LoadRow[] {
    if (!this.isDue(period, now)) return []
    const rows: LoadRow[] = []
    const round = this.#round + 1
    for (const id of this.#due) {
      if (rows.length === limits.loadRowsPerRound) break
      if (waits(id)) continue
      this.#due.delete(id)
      const line = this.#lines.get(id)
      if (line === undefined) continue
      if (line.told === undefined || line.toldOf !== line.load || line.told.ages !== line.ages)
        line.told = loadRow(id, line.load === undefined ? undefined : quantise(line.load), 0, line.ages)
      line.toldOf = line.load
      line.toldAt = now
      line.toldIn = round
      rows.push(aged(line.told, line, now))
    }
    if (rows.length === 0) return rows
    if (rows.length < limits.loadRowsPerRound) this.#flushedAt = now
    this.#round = round
    return rows
  }

  /** All that was told in rounds behind this one, as it was told last. Looks at every line: for those who missed something, and at first. */
  since(round: number, now: Millis): readonly LoadRow[] {
    const rows: LoadRow[] = []
    for (const line of this.#lines.values()) if (line.told !== undefined && line.toldIn > round) rows.push(aged(line.told, line, now))
    return rows
  }
}

const aged = (row: LoadRow, { sampledAt }: Line, now: Millis): LoadRow => ({
  ...row,
  ageMs: row.load === undefined ? 0 : Math.max(0, Math.round(millis(now - sampledAt))),
})
