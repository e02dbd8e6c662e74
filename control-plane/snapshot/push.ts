/**
 * Decides which bytes go to which proxy now. A proxy is sent at most one round of each lane a tick, none before the operators' intents are known, and
 * what is the same for many proxies is laid out once.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { LoadUpdate } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { ControlState, StreamId } from '../state.ts'
import { loadMessages, makeDeltas } from './delta.ts'
import type { Differences, ProxySession } from './proxy-session.ts'

/** The same bytes to each of the streams. */
export type Push = { readonly streams: readonly StreamId[]; readonly bytes: Uint8Array }

type Session = readonly [StreamId, ProxySession]

/** Proxies in step get one and the same message, and so do those that come with nothing; the others what each of them is owed. */
export function pushAll(state: ControlState, now: Millis): readonly Push[] {
  const { snapshot } = state
  const changed = takeRound(state, now)
  const loads = state.proxies.size === 0 ? [] : state.loads.takeDue(now)
  const pushes: Push[] = []
  const inStep: Session[] = []
  const newcomers: Session[] = []
  /** Told of their own, or of nothing: loads reach them apart. */
  const others: Session[] = []
  let greetings: number = limits.greetingsPerTick
  for (const entry of state.proxies) {
    const [, session] = entry
    if (state.settled) session.releaseHeld()
    if (session.inStep()) {
      inStep.push(entry)
      continue
    }
    if (changed.length > 0) session.changed(changed, snapshot)
    const first = !session.greeted
    if (first && greetings-- <= 0) continue
    const owed = session.takeOwed(snapshot)
    if (owed === 'all') newcomers.push(entry)
    else if (owed !== undefined) pushes.push(...send(state, owed, describe(state, first ? snapshot.ids() : owed.upserts, now), [entry]))
    if (!first && !session.mustWait()) others.push(entry)
  }
  if (newcomers.length > 0)
    pushes.push(...send(state, { upserts: [...snapshot.ids()], removed: [] }, describe(state, snapshot.ids(), now), newcomers))
  if (changed.length === 0) return [...pushes, ...sendLoads(state, loads, [...inStep, ...others])]
  if (inStep.length > 0) {
    const upserts = changed.filter((id) => snapshot.get(id) !== undefined)
    const removed = changed.filter((id) => snapshot.get(id) === undefined)
    pushes.push(...send(state, { upserts, removed }, loads, inStep))
  }
  return [...pushes, ...sendLoads(state, loads, others)]
}

/** What changed, when it is time to tell it. */
function takeRound({ snapshot, cadence, proxies }: ControlState, now: Millis): readonly string[] {
  const { urgency } = snapshot
  if (urgency === undefined || !cadence.due(urgency, proxies.size, now)) return []
  cadence.round(now)
  return snapshot.takeChanged()
}

const describe = (state: ControlState, ids: Iterable<string>, now: Millis): readonly LoadUpdate[] => state.loads.describe(ids, now)

function send(state: ControlState, differences: Differences, loads: readonly LoadUpdate[], to: readonly Session[]): readonly Push[] {
  const upserts = differences.upserts.map((id) => state.snapshot.get(id)).filter((resource) => resource !== undefined)
  const deltas = makeDeltas({ upserts, removed: differences.removed, loads }, state.snapshot.version, () => nextNonce(state))
  return deltas.map((delta) => {
    state.counts.pushes += to.length
    for (const [, session] of to) session.sent(delta)
    return { streams: streamsOf(to), bytes: delta.bytes }
  })
}

const nextNonce = (state: ControlState): string => String(++state.lastNonce)
const streamsOf = (to: readonly Session[]): readonly StreamId[] => to.map(([stream]) => stream)

/** Nobody waits for the answer to a load, so none is asked for: a proxy that missed one gets the next. */
function sendLoads(state: ControlState, loads: readonly LoadUpdate[], to: readonly Session[]): readonly Push[] {
  if (loads.length === 0 || to.length === 0) return []
  state.counts.loadPushes += to.length
  return loadMessages(loads, state.snapshot.version).map((bytes) => ({ streams: streamsOf(to), bytes }))
}
