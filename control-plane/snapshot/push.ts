/**
 * Decides which bytes go to which proxy now. A proxy is sent at most one round of each lane a tick, none before the operators' intents are known, and
 * what is the same for many proxies is laid out once.
 */
import type { Millis } from '../../core/units.ts'
import type { ControlState, StreamId } from '../state.ts'
import { loadMessages, makeDeltas } from './delta.ts'
import { Greetings } from './greetings.ts'
import { LoadBatch } from './load-batch.ts'
import { BUCKETS, bucketsEach } from './load-share.ts'
import type { ProxySession } from './proxy-session.ts'
import type { Resource } from './resource.ts'

/** The same bytes to each of the streams. */
export type Push = { readonly streams: readonly StreamId[]; readonly bytes: Uint8Array }

type Session = readonly [StreamId, ProxySession]
type Differences = { readonly upserts: readonly Resource[]; readonly removed: readonly string[] }

/** Loads that are due, and how many buckets of them each proxy is told. */
type Loads = { readonly batch: LoadBatch; readonly each: number }

/** Proxies in step get one and the same message, and so do those that come with nothing; the others what each of them is owed. */
export function pushAll(state: ControlState, now: Millis): readonly Push[] {
  const { snapshot, proxies } = state
  if (proxies.size === 0) return []
  const changed = takeRound(state, now)
  state.loadShares.retain(proxies)
  const each = bucketsEach(snapshot.size, proxies.size)
  const loads: Loads = { batch: new LoadBatch(state.loads.takeDue(now)), each }
  /** With what is told to one proxy alone go the loads of it, unless it is to hear of a part only: that part comes by itself. */
  const withLoads = (ids: Iterable<string>) => new LoadBatch(each < BUCKETS ? [] : state.loads.describe(ids, now)).all()
  const pushes: Push[] = []
  const inStep: Session[] = []
  const newcomers: Session[] = []
  const others: Session[] = []
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
    else if (owed !== undefined) {
      const differences = { upserts: resourcesOf(state, owed.upserts), removed: owed.removed }
      pushes.push(...send(state, differences, withLoads(first ? snapshot.ids() : owed.upserts), [entry]))
    }
    if (!first && !session.mustWait()) others.push(entry)
  }
  if (newcomers.length > 0)
    pushes.push(...send(state, { upserts: [...snapshot.resources()], removed: [] }, withLoads(snapshot.ids()), newcomers))
  if (changed.length === 0) return [...pushes, ...sendLoads(state, loads, [...inStep, ...others])]
  const differences = { upserts: resourcesOf(state, changed), removed: changed.filter((id) => snapshot.get(id) === undefined) }
  for (const [chunks, to] of shares(state, loads, inStep)) pushes.push(...send(state, differences, chunks, to))
  return [...pushes, ...sendLoads(state, loads, others)]
}

/** What changed, when it is time to tell it. */
function takeRound({ snapshot, cadence, proxies }: ControlState, now: Millis): readonly string[] {
  const { urgency } = snapshot
  if (urgency === undefined || !cadence.due(urgency, proxies.size, now)) return []
  cadence.round(now)
  return snapshot.takeChanged()
}

/** Loads, and the proxies that are told these. */
function shares(
  state: ControlState,
  { batch, each }: Loads,
  to: readonly Session[],
): (readonly [readonly Uint8Array[], readonly Session[]])[] {
  if (to.length === 0) return []
  if (batch.size === 0 || each === BUCKETS) return [[batch.all(), to]]
  const groups = Map.groupBy(to, ([stream]) => state.loadShares.groupOf(stream, each))
  return [...groups].map(([group, sessions]) => [batch.of(state.loadShares.of(group, each)), sessions])
}

function send(state: ControlState, differences: Differences, loads: readonly Uint8Array[], to: readonly Session[]): readonly Push[] {
  const deltas = makeDeltas({ ...differences, loads }, state.snapshot.version, () => nextNonce(state))
  return deltas.map((delta) => {
    state.counts.pushes += to.length
    for (const [, session] of to) session.sent(delta)
    return { streams: streamsOf(to), bytes: delta.bytes }
  })
}

/** Nobody waits for the answer to a load, so none is asked for: a proxy that missed one gets the next. */
function sendLoads(state: ControlState, loads: Loads, to: readonly Session[]): readonly Push[] {
  return shares(state, loads, to).flatMap(([chunks, sessions]) => {
    state.counts.loadPushes += chunks.length * sessions.length
    return loadMessages(chunks, state.snapshot.version).map((bytes) => ({ streams: streamsOf(sessions), bytes }))
  })
}

const nextNonce = (state: ControlState): string => String(++state.lastNonce)
const streamsOf = (to: readonly Session[]): readonly StreamId[] => to.map(([stream]) => stream)
const resourcesOf = (state: ControlState, ids: readonly string[]): readonly Resource[] =>
  ids.map((id) => state.snapshot.get(id)).filter((resource) => resource !== undefined)
