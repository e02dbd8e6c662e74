/**
 * The endpoints lane between a control plane and its proxies: a fleet that changes, proxies that refuse, stop reading, go away and come back with what
 * they hold, perhaps to a control plane that has just begun. In the end each proxy holds what the control plane knows, endpoint for endpoint.
 */

import { ProxySession } from '../../control-plane/snapshot/proxy-session.ts'
import { pushAll } from '../../control-plane/snapshot/push.ts'
import { type ControlState, initialState, type StreamId } from '../../control-plane/state.ts'
import { readDelta } from '../../control-plane/testing/read-delta.ts'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { Endpoint } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { Draw } from './draw.ts'
import { type Counts, must, type Play, type Target } from './target.ts'

const FLEET_MAX = 12
const PROXIES_MAX = 4
const ROUNDS_MAX = 200
const ENDPOINT_MAX = 60_000

/** A proxy as the control plane knows it: what it holds, and what lies on the way to it. */
type Proxy = {
  readonly name: string
  readonly held: Map<string, string>
  stream: StreamId | undefined
  readonly inbox: Uint8Array[]
  snapshot: string
}

class MeshPlay implements Play {
  readonly #counts: Counts
  readonly #proxies: Proxy[] = Array.from({ length: PROXIES_MAX }, (_, i) => ({
    name: `p${i}`,
    held: new Map(),
    stream: undefined,
    inbox: [],
    snapshot: '',
  }))
  #state: ControlState = initialState(millis(0))
  #lastStream = 0
  #now = millis(0)
  readonly #fleet = new Map<string, Endpoint>()

  constructor(counts: Counts) {
    this.#counts = counts
    this.#state.settled = true
  }

  readonly moves: Play['moves'] = {
    put: (draw) => {
      const id = `n/${draw.below(FLEET_MAX)}`
      const one = Endpoint.fromPartial({
        id,
        node: 'n',
        address: 'h:1',
        weight: draw.below(4),
        models: draw.pick([['*'], ['a'], ['x'.repeat(draw.size(ENDPOINT_MAX))]]),
      })
      this.#fleet.set(id, one)
      this.#state.snapshot.put(one, {})
    },
    remove: (draw) => {
      const id = `n/${draw.below(FLEET_MAX)}`
      this.#fleet.delete(id)
      this.#state.snapshot.remove(id)
    },
    connect: (draw) => this.#connect(draw.pick(this.#proxies)),
    leave: (draw) => this.#leave(draw.pick(this.#proxies)),
    block: (draw) => this.#sessionOf(draw.pick(this.#proxies))?.setBlocked(draw.oneIn(2)),
    push: () => void this.#push(),
    read: (draw) => this.#read(draw.pick(this.#proxies), draw.oneIn(6)),
    restart: (draw) => this.#restart(draw),
    settle: () => {
      this.#state.settled = true
    },
  }

  end(): void {
    this.#state.settled = true
    for (const proxy of this.#proxies) {
      this.#connect(proxy)
      this.#sessionOf(proxy)?.setBlocked(false)
    }
    // What a proxy refused goes again with the next change.
    for (const weight of [7, 8]) {
      const last = Endpoint.fromPartial({ id: 'n/last', node: 'n', address: 'h:1', weight })
      this.#fleet.set(last.id, last)
      this.#state.snapshot.put(last, {})
      for (let round = 0; this.#push() || this.#proxies.some(({ inbox }) => inbox.length > 0); round++) {
        must(round < ROUNDS_MAX, 'a proxy is told for ever')
        for (const proxy of this.#proxies) this.#read(proxy, false)
      }
    }
    const wanted = [...this.#state.snapshot.resources()].map(({ endpoint, version }) => `${endpoint.id} ${version}`).sort()
    must(wanted.length === this.#fleet.size, 'the snapshot is the fleet')
    for (const { name, held, snapshot } of this.#proxies) {
      const got = [...held].map(([id, version]) => `${id} ${version}`).sort()
      must(got.join() === wanted.join(), `${name} holds ${got.join(', ')}; known are ${wanted.join(', ')}`)
      must(snapshot === this.#state.snapshot.version, `${name} believes in version ${snapshot}`)
    }
  }

  #connect(proxy: Proxy): void {
    if (proxy.stream !== undefined) return
    proxy.stream = ++this.#lastStream
    const hello = { proxyId: proxy.name, zone: '', proxyVersion: '', endpointVersions: Object.fromEntries(proxy.held) }
    this.#state.proxies.set(proxy.stream, new ProxySession(hello, this.#state.snapshot))
  }

  /** What was on its way is lost. */
  #leave(proxy: Proxy): void {
    if (proxy.stream !== undefined) this.#state.proxies.delete(proxy.stream)
    proxy.stream = undefined
    proxy.inbox.length = 0
  }

  #sessionOf({ stream }: Proxy): ProxySession | undefined {
    return stream === undefined ? undefined : this.#state.proxies.get(stream)
  }

  /** Another control plane, which hears of the fleet bit by bit. */
  #restart(draw: Draw): void {
    for (const proxy of this.#proxies) this.#leave(proxy)
    this.#state = initialState(millis(0))
    for (const [id, one] of this.#fleet)
      if (draw.oneIn(3)) this.#state.snapshot.put(one, {})
      else this.#fleet.delete(id)
  }

  #push(): boolean {
    // Each time it is time again for what can wait.
    this.#now = millis(this.#now + limits.calmPushPeriod)
    const pushes = pushAll(this.#state, this.#now)
    for (const { streams, bytes } of pushes) {
      must(bytes.length <= limits.deltaBytesMax + 2 * ENDPOINT_MAX, `a message of ${bytes.length} bytes`)
      for (const stream of streams) {
        this.#counts.frames++
        this.#counts.bytes += bytes.length
        this.#proxies.find((one) => one.stream === stream)?.inbox.push(bytes)
      }
    }
    return pushes.length > 0
  }

  /** All or nothing of a message. */
  #read(proxy: Proxy, refuses: boolean): void {
    const bytes = proxy.inbox.shift()
    const session = this.#sessionOf(proxy)
    if (bytes === undefined || session === undefined) return
    const delta = readDelta(bytes)
    must(delta !== undefined, 'a message without endpoints')
    if (refuses) return session.nack(delta.nonce, 'no')
    for (const { version, endpoint } of delta.upserts) {
      must(endpoint !== undefined && version !== '', 'an upsert of nothing')
      proxy.held.set(endpoint.id, version)
    }
    for (const id of delta.removed) proxy.held.delete(id)
    proxy.snapshot = delta.snapshotVersion
    session.ack(delta.nonce)
  }
}

export const meshTarget: Target = {
  name: 'mesh',
  about: 'the endpoints lane: a fleet that changes, proxies that refuse, stall, leave and return',
  stepsMax: 150,
  weights: { put: 20, remove: 6, connect: 6, leave: 2, block: 2, push: 20, read: 30, restart: 0.4, settle: 1 },
  start: (_draw, counts) => new MeshPlay(counts),
}
