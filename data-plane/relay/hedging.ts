/**
 * When a request whose answer is late is sent to a second endpoint: only where the row of the model that serves it asks for it, since the request then runs
 * twice; only once for each model that it goes to, when it is whole and kept and nothing was promised to the client; only to an endpoint that serves; and only within the retry budget.
 */
import type { HedgeRule } from '../../core/mesh-snapshot.ts'
import { type Millis, millis } from '../../core/units.ts'
import type { RequestTally } from '../admission/request-tally.ts'
import type { RetryBudget } from '../admission/retry-budget.ts'
import type { TimerWheel } from '../admission/timer-wheel.ts'
import type { Connection } from '../http2/connection.ts'
import type { HeaderField } from '../http2/header-field.ts'
import type { OutlierWatch } from '../outliers/outlier-watch.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { Ledger, Outcome } from '../routing/ledger.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { pick } from '../routing/pick.ts'
import type { Exchange } from './exchange.ts'
import { isBad, type Rival } from './rival.ts'

export type HedgingPorts = {
  now(): Millis
  /** A number in [0, 1). */
  draw(): number
  open(slot: EndpointSlot): Connection | undefined
  /** Of the attempt that begins now. */
  headOf(exchange: Exchange, now: Millis): readonly HeaderField[]
  readonly tally: RequestTally
  readonly outliers: OutlierWatch
}

/** Undefined: it is not known yet how late is late. */
export const hedgeDelay = ({ afterMs }: HedgeRule, group: Candidates): Millis | undefined =>
  afterMs === undefined ? group.firstBytes?.read() : millis(afterMs)

export class Hedging {
  readonly #ports: HedgingPorts
  readonly #ledger: Ledger
  readonly #wheel: TimerWheel
  readonly #budget: RetryBudget

  constructor(ports: HedgingPorts, ledger: Ledger, wheel: TimerWheel, budget: RetryBudget) {
    this.#ports = ports
    this.#ledger = ledger
    this.#wheel = wheel
    this.#budget = budget
  }

  /** The first attempt at a model begins: the one that is asked for, or one that it gives way to. */
  arm(exchange: Exchange, rule: HedgeRule, group: Candidates, now: Millis): void {
    // A server keeps the state of a sequence: its requests run in one place, once.
    if (exchange.method.kind === 'any' || exchange.scanner?.sequence !== undefined) return
    if (exchange.hedgeTimer !== undefined) this.#wheel.cancel(exchange.hedgeTimer)
    const delay = hedgeDelay(rule, group)
    if (delay !== undefined) exchange.hedgeTimer = this.#wheel.schedule(millis(now + delay), () => this.#compete(exchange, group))
  }

  #compete(exchange: Exchange, group: Candidates): void {
    const { slot } = exchange
    if (slot === undefined || exchange.rival !== undefined || !exchange.canRetry || !exchange.requestEnded) return
    // It has given way to another model: this one's endpoints do not serve that.
    if (exchange.group !== group) return
    const { now, draw, open, headOf, tally } = this.#ports
    const at = now()
    const other = pick(group, { now: at, draw, excluded: [...exchange.excluded, slot], compared: undefined })
    if (other === undefined || other.awayFor !== undefined || other.endpoint.state === 'FAILED') return
    const connection = open(other)
    if (connection === undefined || !this.#budget.take()) return
    this.#ledger.charge(other, at)
    tally.hedges++
    exchange.compete(connection, headOf(exchange, at), other, at)
  }

  /** A second attempt that does not go on. */
  settle(exchange: Exchange, { slot, startedAt }: Rival, outcome: Outcome, burning: boolean): void {
    if (isBad(outcome)) exchange.excluded.push(slot)
    const at = this.#ports.now()
    this.#ledger.settle(slot, outcome, burning, false, at)
    if (exchange.group === undefined) return
    const { outliers } = this.#ports
    if (burning) outliers.silentFor(slot, exchange.group, millis(at - startedAt))
    outliers.score(slot, exchange.group, outcome, at)
  }
}
