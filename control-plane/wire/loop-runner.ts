/** Owns the state of the control loop and is the only one to step it: brings events in with the time, ticks, and carries effects out. */
import type { Clock } from '../../core/clock.ts'
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import { type Event, step } from '../control-loop.ts'
import type { StreamNews } from '../fleet/replicas.ts'
import type { Push } from '../snapshot/push.ts'
import { type Change, type ControlState, initialState } from '../state.ts'

export type EffectPorts = {
  /** What was to be pushed before is not with everybody yet. */
  telling(): boolean
  push(push: Push): void
  /** All of a tick, and it was timed. */
  pushed(): void
  changed(change: Change): void
  /** To open a connection to a suspect. */
  ask(endpoint: string, address: string): void
  /** With the other control planes. */
  share(news: StreamNews): void
  /** How long one tick took with all its effects. */
  ticked(tookMs: number): void
}

export class LoopRunner {
  readonly #clock: Clock
  readonly #state: ControlState
  #timer: NodeJS.Timeout | undefined

  constructor(clock: Clock) {
    this.#clock = clock
    this.#state = initialState(clock.now())
  }

  /** For queries; whoever changes it breaks the loop. */
  read<T>(query: (state: ControlState, now: Millis) => T): T {
    return query(this.#state, this.#clock.now())
  }

  /** Effects come with the next tick: what happens within one is told once. */
  dispatch(event: Exclude<Event, { readonly kind: 'tick' }>): void {
    step(this.#state, event, this.#clock.now())
  }

  start(ports: EffectPorts): void {
    this.#timer = setInterval(() => this.#tick(ports), limits.membershipCoalesce)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  #tick(ports: EffectPorts): void {
    const began = this.#clock.now()
    for (const effect of step(this.#state, { kind: 'tick', telling: ports.telling() }, began))
      switch (effect.kind) {
        case 'push':
          ports.push(effect.push)
          break
        case 'changed':
          ports.changed(effect.change)
          break
        case 'ask':
          ports.ask(effect.endpoint, effect.address)
          break
        case 'share':
          ports.share(effect.news)
          break
        default:
          effect satisfies never
      }
    ports.ticked(this.#clock.now() - began)
    ports.pushed()
  }
}
