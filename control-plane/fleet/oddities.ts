/** Tells what became odd about an agent, and what is odd no more, once each. */
import type { Millis } from '../../core/units.ts'
import type { ControlState } from '../state.ts'
import { ODDITIES } from './agent-doubts.ts'

export function noteOddities(state: ControlState, node: string, now: Millis): void {
  const before = state.odd.get(node)
  if (before === undefined && !state.doubts.has(node)) return
  const odd = state.doubts.of(node, now)
  if (odd.size === 0) state.odd.delete(node)
  else state.odd.set(node, odd)
  for (const oddity of ODDITIES) {
    const [was, is] = [before?.get(oddity), odd.get(oddity)]
    if (was === is) continue
    state.change.nodes.add(node)
    const change =
      is === undefined ? { from: oddity, to: '', reason: 'no more' } : { from: was === undefined ? '' : oddity, to: oddity, reason: is }
    state.history.note({ at: now, node, endpoint: '', ...change })
  }
}
