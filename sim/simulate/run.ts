/**
 * The story of one run: requests arrive at proxies, the product chooses, servers answer; agents look and report, the control plane concludes and tells. All
 * that decides is the product's own code; time is a list of moments, and chance comes from the seed. The same seed, scenario and load bring the same
 * traffic and the same servers to every way of choosing.
 */
import { assert } from '../../core/assert.ts'
import { limits } from '../../core/limits.ts'
import type { Reason } from '../../core/mesh-error.ts'
import { type Millis, millis } from '../../core/units.ts'
import { FrontDesk } from '../../data-plane/admission/front-desk.ts'
import type { Refused } from '../../data-plane/admission/gate.ts'
import { TimerWheel, WHEEL_GRAIN } from '../../data-plane/admission/timer-wheel.ts'
import type { EndpointSlot } from '../../data-plane/routing/endpoint-slot.ts'
import type { NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { seededDraw } from '../model-server/queue.ts'
import { Timeline } from './engine/timeline.ts'
import { afflict } from './mesh/afflict.ts'
import { Bus } from './mesh/bus.ts'
import { WeightWatch } from './mesh/checks.ts'
import { SimControlPlane } from './mesh/control-plane.ts'
import { SimNode } from './mesh/node.ts'
import { type Chooser, type Queue, SimProxy } from './mesh/proxy.ts'
import { requestReader } from './mesh/read-request.ts'
import { FIRST_TRY_MS, Reconnects } from './mesh/reconnects.ts'
import { Request, type RequestEnd } from './mesh/request.ts'
import { type Measures, Tally } from './report/measures.ts'
import { capacityPerSecond, trafficOf } from './scenario/fleet-capacity.ts'
import type { Fault, Scenario, ServerRules } from './scenario/scenario.ts'
import { BatchServer } from './servers/batch-server.ts'
import type { Server, ServerEvents } from './servers/server.ts'
import { SlotServer } from './servers/slot-server.ts'
import type { Arrival, Traffic, TrafficSource } from './workload/arrival.ts'

export type RunOptions = {
  readonly load: number
  readonly seed: number
  /** Seeds all but the traffic; the seed unless said. */
  readonly chance?: number
  /** Instead of the scenario's. */
  readonly traffic?: TrafficSource
  /** One for each proxy. */
  readonly chooser: () => Chooser
  /** Adds every charge up after so many moments; never by default, since it costs the fleet. */
  readonly checkEvery?: number
}

export type RunResult = {
  readonly measures: Measures
  readonly byTenant: readonly Measures[]
  /** Moments that were played. */
  readonly events: number
  /** Of one endpoint in one minute, the most that any weight changed. */
  readonly weightChangesPerMinute: number
}

/** What comes up in the timeline. */
const ARRIVAL = 0
const SERVER = 1
const LOOK = 2
const HEAR = 3
const TICK = 4
const OUTCOMES = 5
const EMBERS = 6
const PATIENCE = 7
const FAULT_BEGINS = 8
const FAULT_ENDS = 9
const CONNECTION = 10
const FLAP = 11
const WHEEL = 12

/** Agents have told of their servers by then. */
const FIRST_ARRIVAL = millis(2_000)
const OUTCOMES_PERIOD_MS = 1_000
const FLAP_PERIOD_MS = 2_000

export class Run {
  readonly #scenario: Scenario
  readonly #options: RunOptions
  readonly #timeline = new Timeline()
  readonly #nodes: readonly SimNode[]
  readonly #nodeOf: ReadonlyMap<string, SimNode>
  readonly #indexOf: ReadonlyMap<SimNode, number>
  readonly #proxies: readonly SimProxy[]
  readonly #controlPlane: SimControlPlane
  readonly #traffic: Traffic
  readonly #weights = new WeightWatch()
  readonly #tally: Tally
  readonly #tenants: readonly Tally[]
  readonly #bus: Bus
  readonly #reconnects = new Reconnects()
  /** When each server's next moment is planned. */
  readonly #armedAt: Float64Array
  readonly #requests = new Map<number, Request>()
  /** Of all desks: where nobody waits it has nothing to do. */
  readonly #wheel = new TimerWheel(millis(0))
  #arrived = 0
  #coming: Arrival
  readonly #from: number
  readonly #to: number

  constructor(scenario: Scenario, options: RunOptions) {
    const { seed, load, chance = seed, traffic = trafficOf(scenario) } = options
    this.#scenario = scenario
    this.#options = options
    this.#from = FIRST_ARRIVAL + 1000 * scenario.warmUpSeconds
    this.#to = this.#from + 1000 * scenario.seconds
    this.#bus = new Bus(scenario.telemetry, seededDraw(chance * 31 + 2))
    this.#proxies = Array.from(
      { length: scenario.proxies },
      (_, at) => new SimProxy(options.chooser(), seededDraw(chance * 31 + 100 + at), this.#weights, this.#queue()),
    )
    const clock = { now: () => this.#timeline.now }
    this.#nodes = scenario.servers.map((rules, at) => {
      const draw = seededDraw(chance * 1_000_003 + at)
      return new SimNode(at, this.#server(rules, draw), clock, draw, (report) => this.#publish(report))
    })
    this.#nodeOf = new Map(this.#nodes.map((node) => [node.endpointId, node]))
    this.#indexOf = new Map(this.#nodes.map((node, at) => [node, at]))
    this.#armedAt = new Float64Array(this.#nodes.length).fill(Number.POSITIVE_INFINITY)
    this.#controlPlane = new SimControlPlane(this.#proxies, this.#takes, millis(0))
    this.#tally = new Tally(scenario.ttftGoalMs)
    this.#tenants = scenario.workload.tenants.map(() => new Tally(scenario.ttftGoalMs))
    const rate = load * capacityPerSecond(scenario, traffic)
    this.#traffic = traffic(rate, FIRST_ARRIVAL, seededDraw(seed))
    this.#coming = this.#traffic.next()
    this.#plan(seededDraw(chance * 31 + 3))
  }

  /** `onProgress`: now and then, with the share that is played. */
  play(onProgress: (share: number) => void = () => {}): RunResult {
    const { checkEvery = Number.POSITIVE_INFINITY } = this.#options
    const timeline = this.#timeline
    while (this.#goesOn() && timeline.next()) {
      this.#happen(timeline.kind, timeline.who, timeline.now)
      if (timeline.passed % checkEvery === 0) for (const proxy of this.#proxies) proxy.checkAll()
      if (timeline.passed % PROGRESS_EVERY === 0) onProgress(Math.min(1, timeline.now / this.#to))
    }
    for (const { ledger, waiting } of this.#proxies)
      assert(ledger.open + waiting === 0, 'when all requests have ended nobody is at a server or waits')
    const retries = this.#proxies.reduce((sum, proxy) => sum + proxy.retries, 0)
    return {
      measures: this.#tally.read(this.#scenario.seconds, retries),
      byTenant: this.#tenants.map((tally) => tally.read(this.#scenario.seconds, retries)),
      events: timeline.passed,
      weightChangesPerMinute: this.#weights.changesPerMinute,
    }
  }

  /** Until all that arrived in the window have ended. */
  #goesOn(): boolean {
    return this.#timeline.now < this.#to || this.#requests.size > 0
  }

  /** Agents do not look all at once. */
  #plan(draw: () => number): void {
    const timeline = this.#timeline
    for (const at of this.#nodes.keys()) timeline.plan(limits.samplePeriod * draw(), LOOK, at)
    timeline.plan(limits.membershipCoalesce, TICK, 0)
    timeline.plan(OUTCOMES_PERIOD_MS, OUTCOMES, 0)
    timeline.plan(limits.ledgerReportPeriod, EMBERS, 0)
    timeline.plan(this.#coming.at, ARRIVAL, 0)
    if (this.#scenario.admission !== undefined) timeline.plan(WHEEL_GRAIN, WHEEL, 0)
    for (const [at, fault] of this.#scenario.faults.entries()) {
      timeline.plan(this.#from + 1000 * fault.atSeconds, FAULT_BEGINS, at)
      timeline.plan(this.#from + 1000 * (fault.atSeconds + fault.lastingSeconds), FAULT_ENDS, at)
    }
  }

  #happen(kind: number, who: number, now: Millis): void {
    switch (kind) {
      case ARRIVAL:
        return this.#arrive(now)
      case SERVER:
        return this.#onServer(who, now)
      case LOOK:
        this.#nodes[who]?.look()
        return this.#timeline.plan(now + limits.samplePeriod, LOOK, who)
      case HEAR:
        return this.#hear(who, now)
      case TICK:
        this.#controlPlane.tick(now)
        return this.#timeline.plan(now + limits.membershipCoalesce, TICK, 0)
      case OUTCOMES:
        for (const proxy of this.#proxies) proxy.lookBack(now)
        this.#controlPlane.hearProxies(now)
        return this.#timeline.plan(now + OUTCOMES_PERIOD_MS, OUTCOMES, 0)
      case EMBERS:
        for (const proxy of this.#proxies) proxy.ledger.expire(now)
        return this.#timeline.plan(now + limits.ledgerReportPeriod, EMBERS, 0)
      case PATIENCE:
        return this.#onPatience(who, now)
      case FAULT_BEGINS:
        return this.#onFault(this.#scenario.faults[who] as Fault, who, true, now)
      case FAULT_ENDS:
        return this.#onFault(this.#scenario.faults[who] as Fault, who, false, now)
      case CONNECTION:
        return this.#reconnect(who, now)
      case FLAP:
        return this.#flap(who, now)
      case WHEEL:
        this.#wheel.advance(now)
        return this.#timeline.plan(now + WHEEL_GRAIN, WHEEL, 0)
      default:
        throw new Error(`there is no moment of kind ${kind}`)
    }
  }

  // ——— requests ———

  #arrive(now: Millis): void {
    const id = this.#arrived++
    const request = new Request(id, id % this.#proxies.length, this.#coming)
    this.#requests.set(id, request)
    this.#timeline.plan(now + 1000 * this.#scenario.patienceSeconds, PATIENCE, id)
    if (this.#proxyOf(request).admits(request, now)) this.#attempt(request, now)
    this.#coming = this.#traffic.next()
    if (this.#coming.at < this.#to) this.#timeline.plan(this.#coming.at, ARRIVAL, 0)
  }

  #queue(): Queue | undefined {
    const { admission } = this.#scenario
    if (admission === undefined) return undefined
    const owner = {
      now: () => this.#timeline.now,
      send: (request: Request) => this.#attempt(request, this.#timeline.now),
      refuse: (request: Request, { reason }: Refused) => this.#end(request, 'refused', this.#timeline.now, reason),
    }
    return { admission, desk: new FrontDesk(owner, requestReader(this.#scenario), this.#wheel, 1) }
  }

  /** Choose, send; a server that does not take it may leave it to another. */
  #attempt(request: Request, now: Millis): void {
    const proxy = this.#proxyOf(request)
    for (;;) {
      const slot = proxy.choose(request, now)
      if (slot === undefined) return this.#end(request, 'refused', now, 'no-ready-endpoint')
      const node = this.#nodeOf.get(slot.id) as SimNode
      const offered = node.offer(request, now)
      if (offered === 'taken') return this.#arm(node)
      proxy.settle(request, offered === 'refused' ? 'backpressure' : 'failure', now)
      if (offered === 'error') return this.#end(request, 'failed', now)
      if (offered === 'unreachable') this.#eject(proxy, slot, now)
      request.excluded.push(slot)
      if (proxy.mayRetry(request, offered === 'unreachable')) continue
      return offered === 'refused' ? this.#end(request, 'refused', now, 'upstream-overloaded') : this.#end(request, 'failed', now)
    }
  }

  #onFirstToken(request: Request, now: Millis): void {
    request.firstTokenAt = now
    request.answered = 1
    this.#proxyOf(request).onFirstToken(request, now)
  }

  #onDone(request: Request, now: Millis): void {
    request.answered = request.outputTokens
    this.#proxyOf(request).settle(request, 'success', now)
    this.#end(request, 'done', now)
  }

  /** Its client stops waiting. */
  #onPatience(id: number, now: Millis): void {
    const request = this.#requests.get(id)
    if (request === undefined) return
    const { slot } = request
    if (slot !== undefined) {
      const node = this.#nodeOf.get(slot.id) as SimNode
      this.#proxyOf(request).settle(request, 'neither', now, true)
      node.server.cancel(request, now)
      this.#arm(node)
    }
    this.#end(request, 'late', now)
  }

  #end(request: Request, end: RequestEnd, now: Millis, why?: Reason): void {
    this.#requests.delete(request.id)
    if (request.at >= this.#from) for (const tally of [this.#tally, this.#tenants[request.tenant]]) tally?.note(request, end, now, why)
    this.#proxyOf(request).ended(request)
  }

  #proxyOf({ proxy }: Request): SimProxy {
    return this.#proxies[proxy] as SimProxy
  }

  // ——— servers ———

  #server({ kind, rules }: ServerRules, draw: () => number): Server<Request> {
    const events: ServerEvents<Request> = {
      onFirstToken: (request, at) => this.#onFirstToken(request, at),
      onEnd: (request, at) => this.#onDone(request, at),
    }
    return kind === 'batch' ? new BatchServer(rules, events) : new SlotServer(rules, events, draw)
  }

  /** Plans a server's next moment; one that was planned for earlier does no harm, and plans the next. */
  #arm(node: SimNode): void {
    const index = this.#indexOf.get(node) as number
    const at = node.server.nextAt()
    if (at >= (this.#armedAt[index] as number)) return
    this.#armedAt[index] = at
    this.#timeline.plan(at, SERVER, index)
  }

  #onServer(index: number, now: Millis): void {
    const node = this.#nodes[index] as SimNode
    if (now >= (this.#armedAt[index] as number)) this.#armedAt[index] = Number.POSITIVE_INFINITY
    node.server.advance(now)
    this.#arm(node)
  }

  // ——— telemetry ———

  #publish(report: NodeReport): void {
    const sent = this.#bus.send(report)
    if (sent !== undefined) this.#timeline.plan(this.#timeline.now + sent.takesMs, HEAR, sent.id)
  }

  #hear(id: number, now: Millis): void {
    const report = this.#bus.take(id)
    if (report !== undefined) this.#controlPlane.hear(report, now)
  }

  // ——— what goes wrong ———

  #onFault(fault: Fault, at: number, begins: boolean, now: Millis): void {
    const struck = { arm: (node: SimNode) => this.#arm(node), lose: (requests: readonly Request[]) => this.#lose(requests, now) }
    for (const index of fault.nodes) {
      const node = this.#nodes[index]
      if (node !== undefined) afflict(node, fault, begins, now, struck)
    }
    if (fault.kind === 'throttle-flap' && begins) this.#timeline.plan(now + FLAP_PERIOD_MS, FLAP, at)
  }

  /** A broken connection: who was promised nothing yet is sent elsewhere. */
  #lose(requests: readonly Request[], now: Millis): void {
    for (const request of requests) {
      const proxy = this.#proxyOf(request)
      const { slot } = request
      proxy.settle(request, 'failure', now)
      if (slot !== undefined) {
        this.#eject(proxy, slot, now)
        request.excluded.push(slot)
      }
      if (request.firstTokenAt === undefined && proxy.mayRetry(request, true)) this.#attempt(request, now)
      else this.#end(request, 'failed', now)
    }
  }

  #eject(proxy: SimProxy, slot: EndpointSlot, now: Millis): void {
    const id = this.#reconnects.begin(proxy, slot)
    if (id !== undefined) this.#timeline.plan(now + FIRST_TRY_MS, CONNECTION, id)
  }

  #reconnect(id: number, now: Millis): void {
    const again = this.#reconnects.try(id, this.#takes)
    if (again !== undefined) this.#timeline.plan(now + again, CONNECTION, id)
  }

  /** Whether something at the endpoint takes connections. */
  readonly #takes = (endpoint: string): boolean => this.#nodeOf.get(endpoint)?.condition !== 'crashed'

  #flap(at: number, now: Millis): void {
    const fault = this.#scenario.faults[at] as Fault
    const over = now >= this.#from + 1000 * (fault.atSeconds + fault.lastingSeconds)
    for (const index of fault.nodes) {
      const node = this.#nodes[index]
      if (node !== undefined) node.throttled = !over && !node.throttled
    }
    if (!over) this.#timeline.plan(now + FLAP_PERIOD_MS, FLAP, at)
  }
}

const PROGRESS_EVERY = 100_000
