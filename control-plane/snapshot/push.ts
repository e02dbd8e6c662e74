/**
 * Decides which bytes go to which proxy now. A proxy is sent at most one round of each lane a tick, none before the operators' intents are known, and
 * what is the same for many proxies is laid out once.
 */
import type { Millis } from '../../core/units.ts'
import type { ControlState } from '../state.ts'
import { calmPeriod } from './cadence.ts'
import { makeDeltas } from './delta.ts'
import { Greetings } from './greetings.ts'
import { type Hearer, LoadTelling, type Push } from './load-telling.ts'
import type { Resource } from './resource.ts'

export type { Push } from './load-telling.ts'

type Differences = { readonly upserts: readonly Resource[]; readonly removed: readonly string[] }

/**
 * Proxies in step get one and the same message, and so do those that come with nothing; the others what each of them is owed. Loads go behind the
 * endpoints that they are of; a newcomer's once its greeting is on its way.
 */
export function pushAll(state: ControlState, now: Millis): readonly Push[] {
  const { snapshot, proxies } = state
  if (proxies.size === 0) {
    snapshot.takeChanged()
    return []
  }
  const period = calmPeriod(proxies.size, state.silence.wouldShow(now))
  const changed = takeRound(state, period, now)
  const loads = new LoadTelling(state, period, now)
  const pushes: Push[] = []
  const inStep: Hearer[] = []
  const newcomers: Hearer[] = []
  const others: Hearer[] = []
  const greetings = new Greetings(state, now)
  for (const entry of proxies) {
    const [, session] = entry
    if (state.settled) session.releaseHeld()
    if (session.inStep()) {
      inStep.push(entry)
      continue
    }
    if (changed.length > 0) session.changed(changed, snapshot)
    const first = !session.greeted
    if (first && !greetings.take()) continue
    const owed = session.takeOwed(snapshot, now)
    if (owed === 'all') newcomers.push(entry)
    else if (owed !== undefined) pushes.push(...send(state, { upserts: resourcesOf(state, owed.upserts), removed: owed.removed }, [entry]))
    if (!first && !session.mustWait()) others.push(entry)
  }
  if (newcomers.length > 0) pushes.push(...send(state, { upserts: [...snapshot.resources()], removed: [] }, newcomers))
  if (changed.length === 0) pushes.push(...loads.messages(loads.round(inStep)))
  else {
    const differences = { upserts: resourcesOf(state, changed), removed: changed.filter((id) => snapshot.get(id) === undefined) }
    for (const { chunks, hearers, hold } of loads.round(inStep)) pushes.push(...send(state, differences, hearers, chunks, hold))
  }
  const all = [...inStep, ...others]
  return [...pushes, ...loads.messages(loads.round(others)), ...loads.rest(all), ...loads.hold(all)]
}

/** What changed, when it is time to tell it, or when loads go anyway: one message is cheaper than two. */
function takeRound({ snapshot, cadence, proxies, loads }: ControlState, period: Millis, now: Millis): readonly string[] {
  const { urgency } = snapshot
  if (urgency === undefined || !(loads.isDue(period, now) || cadence.due(urgency, proxies.size, period, now))) return []
  cadence.round(now)
  return snapshot.takeChanged()
}

function send(
  state: ControlState,
  differences: Differences,
  to: readonly Hearer[],
  loads: readonly Uint8Array[] = [],
  hold = false,
): readonly Push[] {
  const deltas = makeDeltas({ ...differences, loads, hold }, state.snapshot.version, () => nextNonce(state))
  const streams = to.map(([stream]) => stream)
  return deltas.map((delta) => {
    state.counts.pushes += to.length
    for (const [, session] of to) session.sent(delta)
    return { streams, bytes: delta.bytes }
  })
}

const nextNonce = (state: ControlState): string => String(++state.lastNonce)
const resourcesOf = (state: ControlState, ids: readonly string[]): readonly Resource[] =>
  ids.map((id) => state.snapshot.get(id)).filter((resource) => resource !== undefined)
