/** One control plane on virtual time for this plane's tests: events in, what it tells proxies out. */
import { limits } from '../../core/limits.ts'
import { type Millis, millis, type UnixMillis, unixMillis } from '../../core/units.ts'
import { type EndpointsDelta, Hello } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type Event, step } from '../control-loop.ts'
import type { StreamNews } from '../fleet/replicas.ts'
import { type Change, type ControlState, initialState } from '../state.ts'
import { readDelta } from './read-delta.ts'
import { heard, heartbeat, INTERVAL_MS, report } from './reports.ts'

export const hello = (proxyId: string, endpointVersions: Record<string, string> = {}): Hello =>
  Hello.fromPartial({ proxyId, endpointVersions })

const WALL_START = Date.UTC(2026, 0, 1)

export type Pushed = { readonly at: number; readonly stream: number; readonly delta: EndpointsDelta }

/** One control plane on virtual time: what it says is kept, ticks come as they do in life. */
export class Play {
  readonly state: ControlState
  readonly pushed: Pushed[] = []
  readonly changes: Change[] = []
  /** Endpoints that a connection was asked for. */
  readonly asked: string[] = []
  /** For the other control planes. */
  readonly shared: StreamNews[] = []
  now: Millis
  readonly #sequences = new Map<string, number>()

  constructor(now = 0) {
    this.now = millis(now)
    this.state = initialState(this.now)
  }

  /** The bus is there and no intent is stored. */
  connected(): this {
    return this.do({ kind: 'link', link: 'up' }, { kind: 'intents-known' })
  }

  do(...events: readonly Event[]): this {
    for (const event of events)
      for (const effect of step(this.state, event, this.now)) {
        if (effect.kind === 'changed') this.changes.push(effect.change)
        else if (effect.kind === 'ask') this.asked.push(effect.endpoint)
        else if (effect.kind === 'share') this.shared.push(effect.news)
        else
          for (const stream of effect.push.streams) {
            const delta = readDelta(effect.push.bytes)
            if (delta !== undefined) this.pushed.push({ at: this.now, stream, delta })
          }
      }
    return this
  }

  reports(node: string, fields?: Partial<NodeReport>): this {
    return this.hear(report(node, this.#next(node), fields))
  }

  /** As it came, at the wall clock's own time unless said. */
  hear(one: NodeReport, wall: UnixMillis = this.wall): this {
    return this.do({ kind: 'report', report: heard(one), wall })
  }

  /** What this control plane's wall clock shows. */
  get wall(): UnixMillis {
    return unixMillis(WALL_START + this.now)
  }

  /** What is remembered of a node, as `from → to: reason`, oldest first. */
  told(node: string): readonly string[] {
    return this.state.history.of(node).map(({ from, to, reason }) => `${from} → ${to}: ${reason}`)
  }

  /** Ticks for so long, while these nodes send heartbeats. */
  run(ms: number, alive: readonly string[] = []): this {
    const until = this.now + ms
    while (this.now < until) {
      this.now = millis(this.now + limits.membershipCoalesce)
      if (this.now % INTERVAL_MS === 0) for (const node of alive) this.hear(heartbeat(node, this.#next(node)))
      this.do({ kind: 'tick' })
    }
    return this
  }

  ack(stream: number): this {
    for (const { delta } of this.of(stream)) this.do({ kind: 'proxy-ack', stream, nonce: delta.nonce })
    return this
  }

  of(stream: number): readonly Pushed[] {
    return this.pushed.filter((one) => one.stream === stream)
  }

  /** What was pushed since, and forgets it. */
  take(): readonly Pushed[] {
    return this.pushed.splice(0)
  }

  #next(node: string): number {
    const next = (this.#sequences.get(node) ?? 0) + 1
    this.#sequences.set(node, next)
    return next
  }
}
