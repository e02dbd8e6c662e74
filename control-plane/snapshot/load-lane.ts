/**
 * Decides which loads are worth telling: quantised, past a deadband, or unchanged for so long that their age would be taken for silence. One owner:
 * the control loop.
 */
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { EndpointLoad } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type LoadRow, loadRow } from './load-row.ts'

/** The newest load of one endpoint, and what proxies were told last: undefined when it was never. */
type Line = {
  load: EndpointLoad
  sampledAt: Millis
  /** Of `load`, once it was described. */
  row: LoadRow | undefined
  sent: EndpointLoad | undefined
  sentAt: Millis
}

/** Reports come by timers that may be early: without half a period's grace a load would wait for the next one, and be old by then. */
const REFRESH_DUE = limits.loadRefreshPeriod - limits.reportPeriod / 2

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
export function pastDeadband(sent: EndpointLoad, load: EndpointLoad): boolean {
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

  note(id: string, load: EndpointLoad | undefined, now: Millis): void {
    if (load === undefined) {
      this.forget(id)
      return
    }
    const line = this.#lines.get(id)
    if (line === undefined) {
      this.#lines.set(id, { load, sampledAt: now, row: undefined, sent: undefined, sentAt: now })
      this.#due.add(id)
      return
    }
    // A heartbeat repeats the very object: only its age is new.
    const repeated = line.load === load
    if (!repeated) line.row = undefined
    line.load = load
    line.sampledAt = now
    if (now - line.sentAt >= REFRESH_DUE || (!repeated && (line.sent === undefined || pastDeadband(line.sent, load)))) this.#due.add(id)
  }

  forget(id: string): void {
    this.#lines.delete(id)
    this.#due.delete(id)
  }

  newest(id: string): EndpointLoad | undefined {
    return this.#lines.get(id)?.load
  }

  /** What to tell every proxy now; nothing until the period has passed. */
  takeDue(now: Millis): readonly LoadRow[] {
    if (this.#due.size === 0) return []
    if (this.#flushedAt !== undefined && now - this.#flushedAt < limits.loadPushPeriod) return []
    this.#flushedAt = now
    const due = this.#due
    this.#due = new Set()
    const rows = this.describe(due, now)
    for (const { endpointId, load } of rows) {
      const line = this.#lines.get(endpointId)
      if (line === undefined) continue
      line.sent = load
      line.sentAt = now
    }
    return rows
  }

  describe(ids: Iterable<string>, now: Millis): readonly LoadRow[] {
    const rows: LoadRow[] = []
    for (const endpointId of ids) {
      const line = this.#lines.get(endpointId)
      if (line === undefined) continue
      line.row ??= loadRow(endpointId, quantise(line.load), 0)
      rows.push({ ...line.row, ageMs: Math.max(0, Math.round(millis(now - line.sampledAt))) })
    }
    return rows
  }
}
