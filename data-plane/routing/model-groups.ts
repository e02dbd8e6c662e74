/**
 * Endpoints by the models that they serve: those that name a model, and those that serve every model, which all models share. A model's policy lasts as
 * long as the model is named, by a row or by an endpoint.
 */
import { hashText, mix } from '../../core/key-hash.ts'
import { limits } from '../../core/limits.ts'
import type { Admission, HashOn, HedgeRule, Model, PolicyName, Timeouts } from '../../core/mesh-snapshot.ts'
import type { EndpointSlot } from './endpoint-slot.ts'
import { LatencyQuantile } from './latency-quantile.ts'
import { ModelVersions } from './model-versions.ts'
import type { AdapterRule } from './near-adapter.ts'
import { createPolicy } from './policy.ts'
import { Pool } from './pool.ts'
import { PrefixIndex } from './prefix-index.ts'
import { namesVersion, servedModel, servedModels } from './served-model.ts'
import { SERVING_TIERS, TIERS, TieredGroup } from './tiered-group.ts'
import { shareLevels } from './zones.ts'

const DEFAULT_POLICY: PolicyName = 'LEAST_WAIT'
const ANY_MODEL = '*'
const LEVELS = limits.zoneLevelsMax

/** How many levels of zones there are to choose from. */
export type LevelCount = { readonly count: number }

/** Scratch of one choice of a level. */
const usable = new Float64Array(LEVELS)
const whole = new Float64Array(LEVELS)
const shares = new Float64Array(LEVELS)

/** The endpoints of one model, its own and those that serve every model, best tier first; a tier may be empty. */
export class Candidates {
  policy = createPolicy(DEFAULT_POLICY)
  timeouts: Timeouts | undefined = undefined
  hashOn: HashOn | undefined = undefined
  pin = false
  admission: Admission | undefined = undefined
  adapter: AdapterRule | undefined = undefined
  attemptsMax: number = limits.attemptsUsual
  hedge: HedgeRule | undefined = undefined
  /** How soon answers begin, where hedging asks that. */
  firstBytes: LatencyQuantile | undefined = undefined
  readonly own: TieredGroup
  /** Of all levels. */
  tiers: readonly Pool[] = []
  readonly #any: TieredGroup
  readonly #levels: LevelCount
  #near: readonly Pool[] = []
  /** Of the model whose adapter this one is. Who names both is in both, and is drawn so much more often. */
  #base: TieredGroup | undefined
  #groups: readonly TieredGroup[] = []

  constructor(own: TieredGroup, any: TieredGroup, levels: LevelCount) {
    this.own = own
    this.#any = any
    this.#levels = levels
    this.#makePools()
  }

  get levels(): number {
    return this.#levels.count
  }

  poolAt(tier: number, level: number): Pool {
    return this.#near[tier * LEVELS + level] as Pool
  }

  /** The level of a tier whose turn it is, by what each can do of what it should: see zones.ts. */
  levelFor(tier: number, draw: number): number {
    const { count } = this.#levels
    let nearest = 0
    for (let level = count - 1; level >= 0; level--) {
      const pool = this.poolAt(tier, level)
      const { size, weight } = pool
      if (size > 0) nearest = level
      let missing = 0
      let held = 0
      for (const group of this.#groups) {
        missing += group.weightlessAt(level)
        held += group.weightAt(level)
      }
      usable[level] = weight
      whole[level] = held + (size > 0 ? (missing * weight) / size : 0)
    }
    let point = draw * shareLevels(usable, whole, count, shares)
    if (point <= 0) return nearest
    let last = nearest
    for (let level = 0; level < count; level++) {
      const share = shares[level] as number
      if (point < share) return level
      point -= share
      if (share > 0) last = level
    }
    return last
  }

  get size(): number {
    return this.own.size + (this.#base?.size ?? 0) + this.#any.size
  }

  /** Those in no tier too. */
  *each(): Iterable<EndpointSlot> {
    yield* this.own.slots
    if (this.#base !== undefined) for (const slot of this.#base.slots) if (!this.own.has(slot)) yield slot
    yield* this.#any.slots
  }

  /** Of each pool the first part are those who name the model. */
  #makePools(): void {
    this.#groups = this.#base === undefined ? [this.own, this.#any] : [this.own, this.#base, this.#any]
    this.#near = Array.from({ length: TIERS * LEVELS }, (_, at) => {
      const [tier, level] = [Math.floor(at / LEVELS), at % LEVELS]
      return new Pool(this.#groups.map((group) => group.at(tier, level)))
    })
    this.tiers = Array.from(
      { length: TIERS },
      (_, tier) => new Pool(this.#near.slice(tier * LEVELS, (tier + 1) * LEVELS).flatMap(({ parts }) => parts)),
    )
  }

  /** A copy, for what is rare. */
  get slots(): readonly EndpointSlot[] {
    return [...this.each()]
  }

  /** Of the model's row; without one, what every model gets. */
  setRules(prefixes: PrefixIndex, row?: Model, base?: TieredGroup): void {
    const name = row?.policy ?? DEFAULT_POLICY
    const adapter = adapterRuleOf(row)
    if (this.policy.name !== name || !isSameRule(this.adapter, adapter)) this.policy = createPolicy(name, prefixes, adapter)
    this.adapter = adapter
    if (this.#base !== base) {
      this.#base = base
      this.#makePools()
    }
    this.timeouts = row?.timeouts
    this.hashOn = row?.hashOn
    this.pin = row?.pin ?? false
    this.admission = row?.admission
    this.attemptsMax = row?.retry?.attempts ?? limits.attemptsUsual
    const quantile = row?.hedge?.quantile
    if (quantile !== this.hedge?.quantile) this.firstBytes = quantile === undefined ? undefined : new LatencyQuantile(quantile)
    this.hedge = row?.hedge
  }
}

function adapterRuleOf(row: Model | undefined): AdapterRule | undefined {
  if (row?.adapterOf !== undefined) return { key: mix(hashText(row.name)) }
  return row?.adapterParameter === undefined ? undefined : { parameter: row.adapterParameter }
}

const isSameRule = (a: AdapterRule | undefined, b: AdapterRule | undefined): boolean => JSON.stringify(a) === JSON.stringify(b)

export class ModelGroups {
  readonly prefixes = new PrefixIndex()
  readonly #byModel = new Map<string, Candidates>()
  readonly #anyGroup = new TieredGroup()
  /** Of models of which somebody says which version it serves. */
  readonly #versions = new Map<string, ModelVersions>()
  readonly #any: Candidates
  readonly #levels: LevelCount
  /** Models that have a row: they stay known without an endpoint of their own. */
  #rows: ReadonlyMap<string, Model> = new Map()
  /** Models whose adapters have a row: these hold on to their group. */
  #bases: ReadonlySet<string> = new Set()

  constructor(levels: LevelCount) {
    this.#levels = levels
    this.#any = new Candidates(new TieredGroup(), this.#anyGroup, levels)
  }

  /** The endpoints that may serve a model, or the version of it that was asked for; undefined when none ever could. */
  candidatesFor(model: string, version = ''): Candidates | undefined {
    const named = this.#groupOf(model, version)
    return named.size === 0 ? undefined : named
  }

  /** The endpoints of some model, for what any endpoint can answer: of one that serves, when there is one. */
  get someCandidates(): Candidates | undefined {
    let found = this.#any.size === 0 ? undefined : this.#any
    if (found !== undefined && serving(found)) return found
    for (const candidates of this.#byModel.values()) {
      if (serving(candidates)) return candidates
      if (found === undefined && candidates.size > 0) found = candidates
    }
    return found
  }

  /** Models with a row or with an endpoint of their own. */
  get modelNames(): readonly string[] {
    return [...this.#byModel.keys()]
  }

  namesModel(model: string): boolean {
    return this.#byModel.has(model) || this.#byWholeName(model) !== undefined
  }

  /** Whether a request for the model would be asked of somebody who is not taken for broken. */
  serves(model: string, version = ''): boolean {
    return serving(this.#groupOf(model, version))
  }

  /** Whether requests for some model would. */
  get servesAny(): boolean {
    if (serving(this.#any)) return true
    for (const candidates of this.#byModel.values()) if (serving(candidates)) return true
    return false
  }

  setRows(models: readonly Model[]): void {
    const before = [...this.#rows.keys(), ...this.#bases]
    this.#bases = new Set(models.flatMap(({ adapterOf }) => adapterOf ?? []))
    this.#rows = new Map(models.map((model) => [model.name, model]))
    for (const model of models) {
      const base = model.adapterOf === undefined ? undefined : this.#candidatesOf(model.adapterOf).own
      this.#candidatesOf(model.name).setRules(this.prefixes, model, base)
      this.#versions.get(model.name)?.setRules(this.prefixes, model)
    }
    for (const name of before)
      if (!this.#rows.has(name)) {
        this.#byModel.get(name)?.setRules(this.prefixes)
        this.#versions.get(name)?.setRules(this.prefixes)
        this.#forgetIfEmpty(name)
      }
  }

  /** Takes it in, or moves it to where it belongs now. */
  join(slot: EndpointSlot): void {
    const { models } = slot.endpoint
    if (models.includes(ANY_MODEL)) return this.#anyGroup.put(slot)
    if (this.#versions.size === 0 && !models.some(namesVersion)) for (const model of models) this.#candidatesOf(model).own.put(slot)
    else for (const [model, versions] of servedModels(models)) this.#joinVersions(slot, model, versions)
  }

  leave(slot: EndpointSlot): void {
    this.#anyGroup.drop(slot)
    for (const entry of slot.endpoint.models) {
      const { model } = servedModel(entry)
      this.#byModel.get(model)?.own.drop(slot)
      this.#forgetIfEmpty(model)
      const versions = this.#versions.get(model)
      versions?.leave(slot)
      if (versions?.isEmpty) this.#versions.delete(model)
    }
  }

  #joinVersions(slot: EndpointSlot, model: string, versions: readonly string[]): void {
    const { own } = this.#candidatesOf(model)
    let known = this.#versions.get(model)
    if (known === undefined && versions.length > 0) {
      const fresh = (): Candidates => new Candidates(new TieredGroup(), this.#anyGroup, this.#levels)
      known = new ModelVersions(fresh, own.slots, this.prefixes, this.#rows.get(model))
      this.#versions.set(model, known)
    }
    known?.join(slot, versions)
    own.put(slot)
  }

  #groupOf(model: string, version: string): Candidates {
    const ofVersion = version === '' ? undefined : this.#versions.get(model)?.candidatesFor(version)
    return ofVersion ?? this.#byModel.get(model) ?? this.#byWholeName(model) ?? this.#any
  }

  /** A model's own name may hold the sign that parts name and version. */
  #byWholeName(name: string): Candidates | undefined {
    const { model, version } = servedModel(name)
    return version === undefined ? undefined : this.#versions.get(model)?.named(version)
  }

  #candidatesOf(model: string): Candidates {
    const known = this.#byModel.get(model)
    if (known !== undefined) return known
    const fresh = new Candidates(new TieredGroup(), this.#anyGroup, this.#levels)
    this.#byModel.set(model, fresh)
    return fresh
  }

  #forgetIfEmpty(model: string): void {
    if (this.#byModel.get(model)?.own.size === 0 && !this.#rows.has(model) && !this.#bases.has(model)) this.#byModel.delete(model)
  }
}

const serving = (candidates: Candidates): boolean => candidates.tiers.some((tier, at) => at < SERVING_TIERS && tier.size > 0)
