/**
 * Who may serve which request. Changes row by row, each at a cost that does not depend on how many endpoints there are, so that ten thousand can come
 * and go in slices between requests. Slots and policies last as long as their endpoint and their model are named. What an endpoint speaks decides, when
 * it joins, which requests may reach it: KServe those of every kind, another gRPC service those of prefix routes, HTTP none.
 * Invariant: a table that was changed step by step answers as one built anew from the last picture.
 */
import { EMPTY_SNAPSHOT, type Endpoint, type MeshSnapshot, type Protocol, type Route } from '../../core/mesh-snapshot.ts'
import type { Millis } from '../../core/units.ts'
import { NO_WISHES, type ScanWishes, wishesOf } from '../grpc/scan-wishes.ts'
import { EndpointSlot } from './endpoint-slot.ts'
import { type Candidates, ModelGroups } from './model-groups.ts'
import type { PrefixTally } from './prefix-index.ts'
import { possibleTargets, type TargetRules, targetRules } from './resolve-model.ts'
import { ZoneLevels } from './zones.ts'

export type PictureHead = Pick<MeshSnapshot, 'version' | 'models' | 'routes' | 'zones'>

/** Nothing else of what may come along: a head crosses to the workers in one piece. */
export const headOf = ({ version, models, routes, zones }: PictureHead): PictureHead => ({ version, models, routes, zones })

export class RoutingTable {
  version = ''
  /** What the rows ask of requests' messages. */
  wishes: ScanWishes = NO_WISHES
  /** Whom requests of the models with a row go to. */
  targets: TargetRules = new Map()
  readonly #slotOf: (endpoint: Endpoint) => EndpointSlot
  readonly #slots = new Map<string, EndpointSlot>()
  readonly #zone: string
  #zones: ZoneLevels
  /** Of the zones, and while slots move to the levels of a new order, of the order before as well. */
  readonly #levels: { count: number }
  /** Slots that may stand where an earlier order put them. */
  #unsettled: Iterator<EndpointSlot> | undefined
  readonly #kserve: ModelGroups
  readonly #byProtocol: Readonly<Record<Protocol, ModelGroups>>
  /** All that speak gRPC, for prefix routes. Kept also while there is no route, since the first one would else look at every endpoint in one turn. */
  readonly #routed: ModelGroups
  #routes: readonly Route[] = []

  /** `zone` is where this proxy stands. */
  constructor(
    snapshot: MeshSnapshot = EMPTY_SNAPSHOT,
    slotOf = (endpoint: Endpoint): EndpointSlot => new EndpointSlot(endpoint),
    zone = '',
  ) {
    this.#slotOf = slotOf
    this.#zone = zone
    this.#zones = new ZoneLevels(zone, snapshot.zones)
    this.#levels = { count: this.#zones.count }
    const groups = (): ModelGroups => new ModelGroups(this.#levels)
    this.#kserve = groups()
    this.#byProtocol = { KSERVE_GRPC: this.#kserve, GRPC: groups(), HTTP: groups() }
    this.#routed = groups()
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

  /** The endpoints that may serve a model by KServe's own services; undefined when no endpoint ever could. */
  candidatesFor(model: string, version = ''): Candidates | undefined {
    return this.#kserve.candidatesFor(model, version)
  }

  /** What became of prompts, over all models. */
  get prefixes(): PrefixTally {
    return this.#kserve.prefixes.tally
  }

  /** Endpoints to ask what any that speaks KServe can answer. */
  get someCandidates(): Candidates | undefined {
    return this.#kserve.someCandidates
  }

  /** The endpoints that a prefix route to the model leads to. */
  routedTo(model: string, version = ''): Candidates | undefined {
    return this.#routed.candidatesFor(model, version)
  }

  /** What those speak whom requests of another kind only may reach, or none; undefined when nobody else serves the model. */
  servedOtherwise(model: string): Protocol | undefined {
    return (['GRPC', 'HTTP'] as const).find((protocol) => this.#byProtocol[protocol].candidatesFor(model) !== undefined)
  }

  /** Models that KServe requests can name: those with a row or with an endpoint of their own, and by which other names they go. */
  get modelNames(): readonly string[] {
    return [...new Set([...this.#kserve.modelNames, ...this.targets.keys()])]
  }

  namesModel(model: string): boolean {
    return this.targets.has(model) || this.#kserve.namesModel(model)
  }

  /** Whether a request by this name would be asked of somebody who is not taken for broken, whatever it comes to mean. */
  servesName(name: string): boolean {
    const names = [name, ...(this.targets.get(name)?.fallbacks ?? [])]
    return names.some((one) => possibleTargets(this.targets, one, '').some(({ model, version }) => this.serves(model, version)))
  }

  /** Whether a request for the model would be asked of somebody who is not taken for broken. */
  serves(model: string, version = ''): boolean {
    return this.#kserve.serves(model, version)
  }

  servesRoutedTo(model: string, version = ''): boolean {
    return this.#routed.serves(model, version)
  }

  /** Whether requests for some model, or by some route, would. */
  get servesAny(): boolean {
    return this.#kserve.servesAny || this.#routes.some(({ model }) => this.servesRoutedTo(model))
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
    if (isLost(endpoint) && !isLost(known.endpoint)) known.lives++
    if (sameModels(known.endpoint.models, endpoint.models) && known.endpoint.protocol === endpoint.protocol) known.endpoint = endpoint
    else {
      known.lives++
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

  /** Looks at every slot, for some nanoseconds each. */
  loadsHold(teller: number, at: Millis): void {
    for (const slot of this.#slots.values()) slot.loadHolds(teller, at)
  }

  setHead({ version, models, routes, zones }: PictureHead): void {
    this.version = version
    this.wishes = wishesOf(models)
    this.#routes = [...routes].sort((a, b) => b.prefix.length - a.prefix.length)
    this.targets = targetRules(models)
    this.#kserve.setRows(models)
    this.#routed.setRows(models)
    const order = new ZoneLevels(this.#zone, zones)
    if (order.sameAs(this.#zones)) return
    this.#zones = order
    this.#levels.count = Math.max(this.#levels.count, order.count)
    this.#unsettled = this.#slots.values()
  }

  /** After a change of the order of zones: puts so many slots where they belong now. False when all are; until then each is in the one place or the other. */
  settleZones(most: number): boolean {
    for (let moved = 0; this.#unsettled !== undefined; moved++) {
      if (moved === most) return true
      const { done, value } = this.#unsettled.next()
      if (done !== true) this.#join(value)
      else {
        this.#unsettled = undefined
        this.#levels.count = this.#zones.count
      }
    }
    return false
  }

  /** This proxy's own view of an endpoint changed. */
  resort(slot: EndpointSlot): void {
    if (slot.ejected) slot.lives++
    if (this.#slots.get(slot.id) === slot) this.#join(slot)
  }

  #join(slot: EndpointSlot): void {
    slot.level = this.#zones.levelOf(slot.endpoint.zone)
    this.#byProtocol[slot.endpoint.protocol].join(slot)
    if (speaksGrpc(slot)) this.#routed.join(slot)
  }

  #leave(slot: EndpointSlot): void {
    this.#byProtocol[slot.endpoint.protocol].leave(slot)
    this.#routed.leave(slot)
  }
}

const isLost = ({ state }: Endpoint): boolean => state === 'FAILED' || state === 'STARTING'

const speaksGrpc = ({ endpoint }: EndpointSlot): boolean => endpoint.protocol !== 'HTTP'

const sameModels = (a: readonly string[], b: readonly string[]): boolean => a.length === b.length && a.every((model, at) => model === b[at])
