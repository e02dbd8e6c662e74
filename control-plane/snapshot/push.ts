/** Decides which bytes go to which proxy now. Each lane sends at most one round a tick, and none before the operators' intents are known. */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { ControlState, StreamId } from '../state.ts'
import { loadMessages, makeDeltas } from './delta.ts'
import type { Differences, ProxySession } from './proxy-session.ts'

/** The same bytes to each of the streams. */
export type Push = { readonly streams: readonly StreamId[]; readonly bytes: Uint8Array }

type Session = readonly [StreamId, ProxySession]

/** Proxies in step get one and the same message, and so do those that come with nothing; the others what each of them is owed. */
export function pushEndpoints(state: ControlState, now: Millis): readonly Push[] {
  const { snapshot } = state
  const changed = snapshot.takeChanged()
  const pushes: Push[] = []
  const inStep: Session[] = []
  const newcomers: Session[] = []
  let greetings: number = limits.greetingsPerTick
  for (const entry of state.proxies) {
    const [, session] = entry
    if (state.settled) session.releaseHeld()
    if (session.inStep()) {
      if (changed.length > 0) inStep.push(entry)
      continue
    }
    if (changed.length > 0) session.changed(changed, snapshot)
    const first = !session.greeted
    if (first && greetings-- <= 0) continue
    const owed = session.takeOwed(snapshot)
    if (owed === 'all') newcomers.push(entry)
    else if (owed !== undefined) pushes.push(...send(state, owed, first ? snapshot.ids() : owed.upserts, [entry], now))
  }
  if (newcomers.length > 0) pushes.push(...send(state, { upserts: [...snapshot.ids()], removed: [] }, snapshot.ids(), newcomers, now))
  if (inStep.length > 0) {
    const upserts = changed.filter((id) => snapshot.get(id) !== undefined)
    const removed = changed.filter((id) => snapshot.get(id) === undefined)
    pushes.push(...send(state, { upserts, removed }, [], inStep, now))
  }
  return pushes
}

function send(
  state: ControlState,
  differences: Differences,
  loadsOf: Iterable<string>,
  to: readonly Session[],
  now: Millis,
): readonly Push[] {
  const upserts = differences.upserts.map((id) => state.snapshot.get(id)).filter((resource) => resource !== undefined)
  const loads = state.loads.describe(loadsOf, now)
  const deltas = makeDeltas({ upserts, removed: differences.removed, loads }, state.snapshot.version, () => nextNonce(state))
  return deltas.map((delta) => {
    state.counts.pushes += to.length
    for (const [, session] of to) session.sent(delta)
    return { streams: to.map(([stream]) => stream), bytes: delta.bytes }
  })
}

const nextNonce = (state: ControlState): string => String(++state.lastNonce)

/** Nobody waits for the answer to a load: a proxy that missed one gets the next. */
export function pushLoads(state: ControlState, now: Millis): readonly Push[] {
  const loads = state.loads.takeDue(now)
  const streams = [...state.proxies].filter(([, session]) => session.greeted && !session.mustWait()).map(([stream]) => stream)
  if (loads.length === 0 || streams.length === 0) return []
  state.counts.loadPushes += streams.length
  return loadMessages(loads, () => nextNonce(state), state.snapshot.version).map((bytes) => ({ streams, bytes }))
}
