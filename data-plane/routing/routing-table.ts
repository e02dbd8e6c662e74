/**
 * Who may serve which model. Changes row by row, each at a cost that does not depend on how many endpoints there are, so that ten thousand can come
 * and go in slices between requests. Slots and policies last as long as their endpoint and their model are named.
 * Invariant: a table that was changed step by step answers as one built anew from the last picture.
 */
import {
  EMPTY_SNAPSHOT,
  type Endpoint,
  type MeshSnapshot,
  type Model,
  type PolicyName,
  type Route,
  type Timeouts,
} from '../../core/mesh-snapshot.ts'
import type { Millis } from '../../core/units.ts'
import { EndpointSlot } from './endpoint-slot.ts'
import { createPolicy, type Policy } from './policy.ts'
import { createPool, Pool } from './pool.ts'
import { SERVING_TIERS, TieredGroup } from './tiered-group.ts'
import type { WeightedSet } from './weighted-set.ts'

const DEFAULT_POLICY: PolicyName = 'LEAST_WAIT'
const ANY_MODEL = '*'

export type PictureHead = Pick<MeshSnapshot, 'version' | 'models' | 'routes'>

/** The endpoints of one model, its own and those that serve every model, best tier first; a tier may be empty. */
export class Candidates {
  policy = createPolicy(DEFAULT_POLICY)
  timeouts: Timeouts | undefined = undefined
  readonly own: TieredGroup
  readonly tiers: readonly Pool[]
  readonly #any: TieredGroup

  constructor(own: TieredGroup, any: TieredGroup) {
    this.own = own
    this.#any = any
    this.tiers = own.tiers.map((set, at) => new Pool(set, any.tiers[at] as WeightedSet))
  }

  get size(): number {
    return this.own.size + this.#any.size
  }

  /** A copy, for what is rare. */
  get slots(): readonly EndpointSlot[] {
    return [...this.own.slots, ...this.#any.slots]
  }

  /** Of the model's row; without one, what every model gets. */
  setRules(row?: Model): void {
    const name = row?.policy ?? DEFAULT_POLICY
    if (this.policy.name !== name) this.policy = createPolicy(name)
    this.timeouts = row?.timeouts
  }
}

export class RoutingTable {
  version = ''
  readonly #slotOf: (endpoint: Endpoint) => EndpointSlot
  readonly #slots = new Map<string, EndpointSlot>()
  readonly #byModel = new Map<string, Candidates>()
  readonly #anyGroup = new TieredGroup()
  readonly #any = new Candidates(new TieredGroup(), this.#anyGroup)
  /** Models that have a row: they stay known without an endpoint of their own. */
  #rows: ReadonlyMap<string, Model> = new Map()
  #routes: readonly Route[] = []

  constructor(snapshot: MeshSnapshot = EMPTY_SNAPSHOT, slotOf = (endpoint: Endpoint): EndpointSlot => new EndpointSlot(endpoint)) {
    this.#slotOf = slotOf
    for (const endpoint of snapshot.endpoints) this.upsert(endpoint)
    this.setHead(snapshot)
  }

  get size(): number {
    return this.#slots.size
  }

  /** A copy, for what is rare. */
  get slots(): readonly EndpointSlot[] {
    return [...this.#slots.values()]
  }

  slot(id: string): EndpointSlot | undefined {
    return this.#slots.get(id)
  }

  /** The endpoints that may serve a model; undefined when no endpoint ever could. */
  candidatesFor(model: string): Candidates | undefined {
    const named = this.#byModel.get(model) ?? this.#any
    return named.size === 0 ? undefined : named
  }

  /** Models with a row or with an endpoint of their own. */
  get modelNames(): readonly string[] {
    return [...this.#byModel.keys()]
  }

  namesModel(model: string): boolean {
    return this.#byModel.has(model)
  }

  /** Whether a request for the model would be asked of somebody who is not taken for broken. */
  serves(model: string): boolean {
    return serving(this.#byModel.get(model) ?? this.#any)
  }

  /** Whether requests for some model would. */
  get servesAny(): boolean {
    if (serving(this.#any)) return true
    for (const candidates of this.#byModel.values()) if (serving(candidates)) return true
    return false
  }

  /** The model that a path of a foreign service is sent to: the longest prefix wins. */
  routeOf(path: string): string | undefined {
    return this.#routes.find((route) => path.startsWith(route.prefix))?.model
  }

  /** A new endpoint, or news of one that is known; answers its lasting slot. */
  upsert(endpoint: Endpoint): EndpointSlot {
    const known = this.#slots.get(endpoint.id)
    if (known === undefined) {
      const slot = this.#slotOf(endpoint)
      this.#slots.set(endpoint.id, slot)
      this.#join(slot)
      return slot
    }
    if (sameModels(known.endpoint.models, endpoint.models)) known.endpoint = endpoint
    else {
      this.#leave(known)
      known.endpoint = endpoint
    }
    this.#join(known)
    return known
  }

  remove(id: string): void {
    const slot = this.#slots.get(id)
    if (slot === undefined) return
    slot.gone = true
    this.#slots.delete(id)
    this.#leave(slot)
  }

  setHead({ version, models, routes }: PictureHead): void {
    this.version = version
    this.#routes = [...routes].sort((a, b) => b.prefix.length - a.prefix.length)
    const before = this.#rows
    this.#rows = new Map(models.map((model) => [model.name, model]))
    for (const model of models) this.#candidatesOf(model.name).setRules(model)
    for (const name of before.keys())
      if (!this.#rows.has(name)) {
        this.#byModel.get(name)?.setRules()
        this.#forgetIfEmpty(name)
      }
  }

  /** This proxy's own view of an endpoint changed. */
  resort(slot: EndpointSlot): void {
    if (this.#slots.get(slot.id) === slot) this.#join(slot)
  }

  #join(slot: EndpointSlot): void {
    const { models } = slot.endpoint
    if (models.includes(ANY_MODEL)) this.#anyGroup.put(slot)
    else for (const model of models) this.#candidatesOf(model).own.put(slot)
  }

  #leave(slot: EndpointSlot): void {
    this.#anyGroup.drop(slot)
    for (const model of slot.endpoint.models) {
      this.#byModel.get(model)?.own.drop(slot)
      this.#forgetIfEmpty(model)
    }
  }

  #candidatesOf(model: string): Candidates {
    const known = this.#byModel.get(model)
    if (known !== undefined) return known
    const fresh = new Candidates(new TieredGroup(), this.#anyGroup)
    this.#byModel.set(model, fresh)
    return fresh
  }

  #forgetIfEmpty(model: string): void {
    if (this.#byModel.get(model)?.own.size === 0 && !this.#rows.has(model)) this.#byModel.delete(model)
  }
}

const serving = (candidates: Candidates): boolean => candidates.tiers.some((tier, at) => at < SERVING_TIERS && tier.size > 0)

const sameModels = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((model, at) => model === b[at])

/** The first tier with somebody who was not tried yet decides. */
export function pick(from: Candidates, excluded: readonly EndpointSlot[], draw: () => number, now: Millis): EndpointSlot | undefined {
  const { tiers, policy } = from
  for (let at = 0; at < tiers.length; at++) {
    const tier = tiers[at] as Pool
    if (tier.size === 0) continue
    if (excluded.length === 0) return policy.choose(tier, draw, now)
    const slot = chooseUntried(policy, tier, excluded, draw, now)
    if (slot !== undefined) return slot
  }
  return undefined
}

const REDRAWS = 8

/** Where few of many were tried, to draw again is cheaper than to gather the rest; the rest is gathered when luck is bad, or they are few. */
function chooseUntried(
  policy: Policy,
  tier: Pool,
  excluded: readonly EndpointSlot[],
  draw: () => number,
  now: Millis,
): EndpointSlot | undefined {
  if (tier.size > REDRAWS * excluded.length)
    for (let tries = 0; tries < REDRAWS; tries++) {
      const slot = policy.choose(tier, draw, now)
      if (!excluded.includes(slot)) return slot
    }
  const rest = tier.slots.filter((slot) => !excluded.includes(slot))
  return rest.length === 0 ? undefined : policy.choose(createPool(rest), draw, now)
}

export function hasUntried(from: Candidates, excluded: readonly EndpointSlot[]): boolean {
  for (const tier of from.tiers) for (let at = 0; at < tier.size; at++) if (!excluded.includes(tier.slotAt(at))) return true
  return false
}
