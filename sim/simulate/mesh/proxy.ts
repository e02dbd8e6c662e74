/**
 * A proxy of the simulation: the product's own table, ledger, choice and retry budget, fed by the product's own pushes. What is simulated of it is the
 * relay alone. Invariants, looked at with every attempt: the ledger holds as many attempts as are open; at every step: whoever is not at a server waits at the desk.
 */
import { assert } from '../../../core/assert.ts'
import { limits } from '../../../core/limits.ts'
import type { Admission, PolicyName } from '../../../core/mesh-snapshot.ts'
import { type Millis, millis } from '../../../core/units.ts'
import type { FrontDesk } from '../../../data-plane/admission/front-desk.ts'
import { RetryBudget } from '../../../data-plane/admission/retry-budget.ts'
import { OutlierWatch } from '../../../data-plane/outliers/outlier-watch.ts'
import type { EndpointSlot } from '../../../data-plane/routing/endpoint-slot.ts'
import { Ledger, type Outcome } from '../../../data-plane/routing/ledger.ts'
import { hasUntried, pick } from '../../../data-plane/routing/pick.ts'
import type { Policy } from '../../../data-plane/routing/policy.ts'
import { RoutingTable } from '../../../data-plane/routing/routing-table.ts'
import { readEndpoint, readLoad } from '../../../data-plane/wire/read-endpoint.ts'
import type { EndpointOutcomes, EndpointsDelta } from '../../../proto/gen/millrace/mesh/v1/mesh.ts'
import type { Rival, RivalAsk } from '../rivals/rival.ts'
import { blockHashes, LETTERS_PER_TOKEN, type Prompt } from '../workload/arrival.ts'
import { checkCharges, checkChoice, checkLedger, type WeightWatch } from './checks.ts'
import type { Request } from './request.ts'

export const MODEL = 'llm'

/** How endpoints are chosen: by a policy of the product, or by a rival. */
export type Chooser = { readonly kind: 'policy'; readonly name: PolicyName } | { readonly kind: 'rival'; readonly rival: Rival }

/** A queue before the choice, where the scenario has one. */
export type Queue = { readonly admission: Admission; readonly desk: FrontDesk<Request> }

type Told = Pick<EndpointSlot, 'successes' | 'backpressures' | 'failures'>
const NOTHING_TOLD: Told = { successes: 0, backpressures: 0, failures: 0 }

export class SimProxy {
  readonly ledger = new Ledger()
  readonly budget = new RetryBudget()
  retries = 0
  readonly #desk: FrontDesk<Request> | undefined
  readonly #waitingMax: number
  readonly #table = new RoutingTable()
  readonly #policy: PolicyName
  readonly #rival: Rival | undefined
  readonly #rivalPolicy: Policy | undefined
  readonly #draw: () => number
  readonly #weights: WeightWatch
  readonly #told = new Map<string, Told>()
  readonly #outliers = new OutlierWatch({ resort: (slot) => this.#resort(slot), tell: () => {} })
  #asking: RivalAsk | undefined
  /** Requests that came and have not ended, and those of them that are at a server. */
  #held = 0
  #open = 0
  /** Whose word it is that loads hold: one control plane's, until it begins anew. */
  #teller = 1

  constructor(chooser: Chooser, draw: () => number, weights: WeightWatch, queue?: Queue) {
    this.#draw = draw
    this.#weights = weights
    this.#desk = queue?.desk
    this.#waitingMax = queue?.admission.queueMax ?? limits.queueUsual
    const policy = chooser.kind === 'policy' ? chooser.name : 'ROUND_ROBIN'
    this.#policy = policy
    this.#table.setHead({ version: '', models: [{ name: MODEL, policy, admission: queue?.admission }], routes: [] })
    if (chooser.kind === 'policy') return
    const { rival } = chooser
    this.#rival = rival
    // In the place of the model's own policy: the tiers of the product decide for a rival too who may be asked.
    this.#rivalPolicy = { name: policy, choose: (pool) => rival.choose(pool, this.#asking as RivalAsk), terms: () => ({}) }
  }

  /** A message of the control plane. */
  take({ upserts, removed, loads, loadsHold, loadsAnew }: EndpointsDelta, now: Millis): void {
    for (const { endpoint } of upserts) {
      const read = endpoint === undefined ? 'nothing' : readEndpoint(endpoint)
      assert(typeof read !== 'string', 'the control plane sends endpoints that a proxy takes')
      this.#weights.note(read.id, read.weight, now)
      this.#table.upsert(read)
    }
    for (const id of removed) this.#table.remove(id)
    if (loadsAnew) this.#teller++
    for (const { endpointId, load, ageMs, ages } of loads) {
      const dated = load === undefined ? undefined : { load: readLoad(load), sampledAt: millis(now - ageMs) }
      this.#table.slot(endpointId)?.report(dated, ages ? 0 : this.#teller)
    }
    if (loadsHold) this.#table.loadsHold(this.#teller, now)
    this.#desk?.onFleet()
  }

  /** It has come; false when it waits, and will be sent by the desk, or was refused. */
  admits(request: Request, now: Millis): boolean {
    this.#held++
    const candidates = this.#table.candidatesFor(MODEL)
    return candidates === undefined || (this.#desk?.admits(request, MODEL, candidates, now) ?? true)
  }

  /** Chooses and charges; undefined when nobody is left to be asked. */
  choose(request: Request, now: Millis): EndpointSlot | undefined {
    const candidates = this.#table.candidatesFor(MODEL)
    if (candidates === undefined) return undefined
    if (this.#rivalPolicy !== undefined) candidates.policy = this.#rivalPolicy
    const { prompt, excluded } = request
    const ask: RivalAsk = { now, draw: this.#draw, excluded, key: keyOf(prompt), asked: prompt, prompt: this.#hashesOf(prompt) }
    this.#asking = ask
    const slot = pick(candidates, ask)
    if (slot === undefined) return undefined
    checkChoice(slot, candidates, excluded)
    this.ledger.charge(slot, now)
    if (request.pass !== undefined) this.#desk?.charge(request.pass, now)
    this.#open++
    checkLedger(this.ledger, this.#open)
    request.slot = slot
    request.attemptAt = now
    request.attempts++
    this.#rival?.onSent?.(slot, ask)
    return slot
  }

  /** As the product hashes what it reads of a prompt, for the one policy that asks for it. */
  #hashesOf(prompt: Prompt): Uint32Array | undefined {
    return this.#policy === 'PREFIX' ? blockHashes(prompt, limits.promptBlocksMax, limits.promptBlock / LETTERS_PER_TOKEN) : undefined
  }

  onFirstToken({ slot, attemptAt, pass }: Request, now: Millis): void {
    if (slot === undefined) return
    this.ledger.answered(slot)
    const took = millis(now - attemptAt)
    if (pass !== undefined) this.#desk?.answerBegan(pass, took, now)
    slot.firstByte.record(took, now)
    const group = this.#table.candidatesFor(MODEL)
    if (group !== undefined) this.#outliers.beganAfter(slot, group, took)
    this.#rival?.onFirstToken?.(slot, took, { now })
  }

  /** `burning`: it was cancelled, and may go on for a while. */
  settle(request: Request, outcome: Outcome, now: Millis, burning = false): void {
    const { slot, pass, attemptAt, firstTokenAt } = request
    if (slot === undefined) return
    request.slot = undefined
    this.ledger.settle(slot, outcome, burning, firstTokenAt !== undefined, now)
    if (pass !== undefined) this.#desk?.settle(pass, outcome, millis(now - attemptAt))
    this.#open--
    checkLedger(this.ledger, this.#open)
    this.#score(request, slot, outcome, burning, now)
    if (outcome === 'success') this.budget.earn()
    this.#rival?.onEnd?.(slot, outcome === 'success', { now })
  }

  /** It is over, whatever ended it; others may go in its place. */
  ended(request: Request): void {
    this.#held--
    if (request.pass !== undefined) this.#desk?.ended(request, request.pass)
  }

  /** How many wait at its desk. */
  get waiting(): number {
    let sum = 0
    for (const count of this.#desk?.waiting.values() ?? []) sum += count
    return sum
  }

  #score({ attemptAt, firstTokenAt }: Request, slot: EndpointSlot, outcome: Outcome, burning: boolean, now: Millis): void {
    const group = this.#table.candidatesFor(MODEL)
    if (group === undefined) return
    if (burning && firstTokenAt === undefined) this.#outliers.silentFor(slot, group, millis(now - attemptAt))
    this.#outliers.score(slot, group, outcome, now)
  }

  /** Every second. */
  lookBack(now: Millis): void {
    this.#outliers.tick(now)
  }

  /** Whether it may be sent again, elsewhere. `free`: it never reached a server, or was lost with one. */
  mayRetry({ attempts, excluded }: Request, free: boolean): boolean {
    const candidates = this.#table.candidatesFor(MODEL)
    if (attempts >= limits.attemptsMax || candidates === undefined || !hasUntried(candidates, excluded)) return false
    if (!free && !this.budget.take()) return false
    this.retries++
    return true
  }

  /** This proxy's own connections failed, or one succeeded again. */
  setEjected(slot: EndpointSlot, ejected: boolean): void {
    slot.ejected = ejected
    this.#resort(slot)
  }

  #resort(slot: EndpointSlot): void {
    this.#table.resort(slot)
    this.ledger.touch(slot)
    this.#desk?.onFleet()
  }

  /** What it tells the control plane once a second. */
  takeOutcomes(): EndpointOutcomes[] {
    return this.ledger.takeTouched(Number.POSITIVE_INFINITY).map((slot) => {
      const told = this.#told.get(slot.id) ?? NOTHING_TOLD
      const { successes, backpressures, failures } = slot
      this.#told.set(slot.id, { successes, backpressures, failures })
      return {
        endpointId: slot.id,
        inFlight: slot.inFlight,
        successes: BigInt(successes - told.successes),
        backpressures: BigInt(backpressures - told.backpressures),
        failures: BigInt(failures - told.failures),
        ejected: slot.ejected,
      }
    })
  }

  /** Every charge against every slot: costs the fleet. */
  checkAll(): void {
    checkCharges(this.ledger, this.#table.slots)
    assert(this.waiting <= this.#waitingMax, 'no more wait than may')
    assert(this.#held === this.#open + this.waiting, 'whoever is not at a server waits at the desk')
  }
}

/** Sessions hash by their number; two of them fall together no more often than chance has it. */
const keyOf = ({ session }: Prompt): number => Math.imul(session + 1, 0x9e3779b1) >>> 0
