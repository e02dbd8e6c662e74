/** What the connections of one worker share: memory, a budget of windows, and counters. */
import { limits } from '../../core/limits.ts'
import { GUARDS, type Guard } from './guard.ts'
import type { SlabPool } from './output.ts'

/** What the connections of one worker share. */
export type Shared = { readonly slabs: SlabPool; readonly windowBudget: WindowBudget; readonly tally: EngineTally }

/** Bytes of stream windows beyond the start size that one worker may still grant. */
export class WindowBudget {
  left: number = limits.windowBudget

  take(count: number): boolean {
    if (count > this.left) return false
    this.left -= count
    return true
  }

  give(count: number): void {
    this.left += count
  }
}

/** Counted over all connections of a worker, for the metrics page. */
export type EngineTally = { queuedBytes: number; guards: Record<Guard, number>; framesIn: number; resetsIn: number; resetsOut: number }

const NO_GUARDS = Object.fromEntries(GUARDS.map((guard) => [guard, 0])) as Record<Guard, number>

export const newTally = (): EngineTally => ({ queuedBytes: 0, guards: { ...NO_GUARDS }, framesIn: 0, resetsIn: 0, resetsOut: 0 })
