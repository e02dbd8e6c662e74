/** One relaying worker: takes sockets, keeps pools, swaps snapshots, and reports its ledger. It listens nowhere and logs through its primary. */
import type { Socket } from 'node:net'
import { systemClock } from '../../core/edge/system-clock.ts'
import { limits } from '../../core/limits.ts'
import type { EndpointTls } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import type { ExplainQuery, ExplainReply } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { type Complaint, newRequestTally } from '../admission/request-tally.ts'
import { RetryBudget } from '../admission/retry-budget.ts'
import { TimerWheel, WHEEL_GRAIN } from '../admission/timer-wheel.ts'
import { SlabPool } from '../http2/output.ts'
import { newTally, type Shared, WindowBudget } from '../http2/shared.ts'
import { HealthDesk } from '../local/health.ts'
import { OwnServices } from '../local/own-services.ts'
import { reflectionHandler } from '../local/reflection.ts'
import { type OutlierNews, OutlierWatch } from '../outliers/outlier-watch.ts'
import { refuseBadHead } from '../relay/refuse-head.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import { Ledger } from '../routing/ledger.ts'
import { RoutingTable } from '../routing/routing-table.ts'
import { RequestService } from '../serve-request.ts'
import type { Batch } from '../share/rows.ts'
import { AnswerKinds } from './answer-kinds.ts'
import { ClientLinks } from './client-links.ts'
import { Complaints } from './complaints.ts'
import type { ConnectionRules } from './connection-settings.ts'
import { explainReply } from './explain-reply.ts'
import { FrontDoor, type FrontOptions } from './front-door.ts'
import { newFrontTally } from './front-tally.ts'
import { Http1Door } from './http1-door.ts'
import { openInflater } from './inflate.ts'
import { createLocalAnswers } from './local-answers.ts'
import { OpenAhead } from './open-ahead.ts'
import { ownDescriptors } from './own-descriptors.ts'
import { askServer, askSystem, Names } from './resolve.ts'
import { Flusher, type LinkOwner, SocketLink } from './socket-link.ts'
import { TlsContexts } from './tls-upstream.ts'
import { UpstreamPool } from './upstream-pool.ts'
import type { FromWorker, WorkerOptions } from './worker-channel.ts'
import { WorkerReporter } from './worker-reporter.ts'

/** A slab each for the links that are flushed together, and some for those whose peers are slow. */
const SLABS_KEPT = 64
/** For a client that does not take them, this is all that it gets. */
const LAST_WORDS_MS = 1_000

export class Worker {
  readonly #send: (message: FromWorker) => void
  readonly #flusher = new Flusher()
  readonly #shared: Shared = {
    slabs: new SlabPool(SLABS_KEPT, (size) => Buffer.allocUnsafeSlow(size)),
    windowBudget: new WindowBudget(),
    tally: newTally(),
  }
  readonly #ledger = new Ledger()
  readonly #wheel = new TimerWheel(systemClock.now())
  readonly #tally = newRequestTally()
  readonly #clients: ClientLinks
  readonly #names: Names
  readonly #openAhead = new OpenAhead((slot) => this.#pools.get(slot.id) ?? this.#newPool(slot))
  readonly #connections: ConnectionRules
  readonly #pools = new Map<string, UpstreamPool>()
  readonly #service: RequestService
  readonly #complaints: Complaints
  readonly #outlierNews: Complaints
  readonly #outliers = new OutlierWatch({ resort: (slot) => this.#resort(slot), tell: (news) => this.#tellOutlier(news) })
  readonly #health = new HealthDesk(() => this.#routing)
  readonly #own: OwnServices
  readonly #http1: Http1Door
  readonly #door: FrontDoor
  readonly #contexts: TlsContexts
  #endpointTls: EndpointTls | undefined
  readonly #refusedClients: Complaints
  readonly #reporter: WorkerReporter
  readonly #timers: NodeJS.Timeout[] = []
  /** Sockets that the primary handed over, and sockets that are open. */
  #taken = 0
  #open = 0
  readonly #routing: RoutingTable
  #draining = false

  constructor(send: (message: FromWorker) => void, options: WorkerOptions) {
    this.#send = send
    this.#reporter = new WorkerReporter(send, this.#ledger, options.turnGrainMs)
    const { connections } = options
    this.#routing = new RoutingTable(undefined, undefined, options.zone)
    this.#connections = connections
    this.#clients = new ClientLinks(connections.downstream)
    const ask = connections.dnsServer === undefined ? askSystem : askServer(connections.dnsServer)
    this.#names = new Names({ ask, now: systemClock.now, draw: Math.random, period: connections.dnsRefresh })
    const open = (slot: EndpointSlot) => (this.#pools.get(slot.id) ?? this.#newPool(slot))?.open()
    const routing = () => this.#routing
    this.#complaints = new Complaints(send, 'request.failed')
    this.#outlierNews = new Complaints(send, 'endpoint.outlier')
    this.#refusedClients = new Complaints(send, 'client.refused')
    this.#contexts = new TlsContexts((complaint) => send({ kind: 'log', level: 'error', event: 'tls.refused', fields: { complaint } }))
    this.#http1 = new Http1Door({ ready: () => this.#readiness() })
    this.#door = new FrontDoor({
      greet: (socket) => this.#greet(socket),
      http1: this.#http1,
      turnedAway: (about) => this.#refusedClients.add(about),
    })
    const complain = (about: Complaint) => this.#complaints.add(about)
    const answer = createLocalAnswers({ routing, open })
    const answerKind = new AnswerKinds({ now: systemClock.now, open }).of
    const { check, watch, list } = this.#health
    this.#own = new OwnServices({
      ...{ now: systemClock.now, wheel: this.#wheel, tally: this.#tally, callsMax: limits.ownCallsMax },
      handlers: { 'health-check': check, 'health-watch': watch, 'health-list': list, reflection: reflectionHandler(ownDescriptors) },
    })
    const serveOwn: OwnServices['accept'] = (stream, method, timeout) => this.#own.accept(stream, method, timeout)
    const ports = {
      now: systemClock.now,
      draw: Math.random,
      routing,
      open,
      openInflater,
      answerKind,
      answer,
      serveOwn,
      complain,
      tally: this.#tally,
      outliers: this.#outliers,
    }
    this.#service = new RequestService(ports, this.#ledger, this.#wheel, new RetryBudget(1 / options.workers), options)
    this.#timers.push(
      setInterval(() => this.#wheel.advance(systemClock.now()), WHEEL_GRAIN),
      setInterval(() => this.#report(), limits.ledgerReportPeriod),
      setInterval(() => this.#everySecond(), 1_000),
    )
  }

  /** A client's socket, paused until now. */
  takeSocket(given: Socket): void {
    this.#taken++
    this.#open++
    this.#door.take(given).once('close', () => this.#open--)
  }

  applyEndpointTls(tls: EndpointTls | undefined): void {
    this.#endpointTls = tls
  }

  applyFront(options: FrontOptions): void {
    this.#door.apply(options)
  }

  #greet(socket: Socket): SocketLink {
    const link = new SocketLink(socket, 'server', this.#owner, this.#flusher, this.#shared)
    this.#clients.add(link, systemClock.now(), Math.random())
    return link
  }

  /** Some of what is new, few enough for one turn. */
  apply({ upserts, head, removed, loads, hold, elsewhere }: Batch): void {
    for (const endpoint of upserts) {
      const known = this.#routing.slot(endpoint.id)
      const slot = this.#routing.upsert(endpoint)
      if (known === undefined) this.#openAhead.add(slot)
      else this.#pools.get(slot.id)?.refresh()
    }
    if (head !== undefined) {
      this.#routing.setHead(head)
      this.#settleZones()
    }
    for (const id of removed) {
      this.#routing.remove(id)
      this.#pools.get(id)?.close()
      this.#pools.delete(id)
    }
    const now = systemClock.now()
    for (const { id, load, ageMs, teller } of loads)
      this.#routing.slot(id)?.report(load === undefined ? undefined : { load, sampledAt: millis(now - ageMs) }, teller)
    if (hold !== undefined) this.#routing.loadsHold(hold.teller, millis(now - hold.ageMs))
    for (const [id, charged, unanswered] of elsewhere) this.#routing.slot(id)?.holdElsewhere(charged, unanswered, now)
    this.#service.desk.onFleet()
  }

  explain(query: ExplainQuery): ExplainReply {
    return explainReply(query, this.#service.explainer, this.#routing, { now: systemClock.now(), wall: Date.now(), draw: Math.random })
  }

  /** A new order of zones is taken in some endpoints in each turn. */
  #settleZones(): void {
    if (this.#routing.settleZones(limits.feedRowsMax)) setImmediate(() => this.#settleZones())
  }

  /** Clients are asked to go elsewhere; what they have begun is finished, up to a limit. */
  async drain(): Promise<void> {
    this.#draining = true
    this.#http1.drain()
    this.#clients.announceDrain(systemClock.now())
    this.#health.drain()
    await this.#untilSoon(() => this.#clients.stepDrain(systemClock.now()) && this.#tally.open === 0, this.#connections.drainTimeout)
    this.#clients.closeAll()
    // What was said last leaves with the socket, not with the process.
    await this.#untilSoon(() => this.#clients.size === 0, LAST_WORDS_MS)
    for (const pool of this.#pools.values()) pool.close()
    for (const timer of this.#timers) clearInterval(timer)
    this.#report()
    this.#reporter.stop()
  }

  /** Until it holds, or the time is up. */
  async #untilSoon(holds: () => boolean, within: number): Promise<void> {
    const until = systemClock.now() + within
    while (!holds() && systemClock.now() < until) await new Promise((resolve) => setTimeout(resolve, WHEEL_GRAIN))
  }

  /** No client is connected and nothing runs. */
  get idle(): boolean {
    return this.#clients.size === 0 && this.#tally.open === 0 && this.#ledger.open === 0
  }

  /** What was counted and decided so far was for no client. */
  forgetRehearsal(): void {
    Object.assign(this.#tally, { ...newRequestTally(), open: this.#tally.open })
    Object.assign(this.#shared.tally, { ...newTally(), queuedBytes: this.#shared.tally.queuedBytes })
    this.#taken = 0
    this.#door.tally = newFrontTally()
    this.#service.explainer.forget()
  }

  readonly #owner: LinkOwner = {
    onRequest: (stream, fields) => this.#service.accept(stream, fields),
    onBadRequest: refuseBadHead,
    onCapacity: () => {},
    onClosed: (link) => this.#clients.delete(link),
  }

  /** When it is first needed: of ten thousand endpoints most are never asked by one worker. */
  #newPool(slot: EndpointSlot): UpstreamPool | undefined {
    if (slot.gone) return undefined
    const pool = new UpstreamPool(slot, {
      names: this.#names,
      rules: this.#connections.upstream,
      now: systemClock.now,
      draw: Math.random,
      flusher: this.#flusher,
      shared: this.#shared,
      contexts: this.#contexts,
      usualTls: () => this.#endpointTls,
      onEjection: (ejected, detail) => {
        this.#resort(ejected)
        const fields = { endpoint: ejected.id, address: ejected.endpoint.address, detail }
        if (ejected.ejected) this.#send({ kind: 'log', level: 'warn', event: 'endpoint.ejected', fields })
        else this.#send({ kind: 'log', level: 'info', event: 'endpoint.back', fields })
      },
    })
    this.#pools.set(slot.id, pool)
    return pool
  }

  /** This worker's view of the endpoint changed, and those who hear of it are told. */
  #resort(slot: EndpointSlot): void {
    this.#routing.resort(slot)
    this.#ledger.touch(slot)
    this.#service.desk.onFleet()
  }

  #tellOutlier({ slot, change, why, forMs }: OutlierNews): void {
    this.#outlierNews.add({ endpoint: slot.id, address: slot.endpoint.address, change, why, forMs })
  }

  #readiness(): { readonly ok: boolean; readonly detail: string } {
    if (this.#draining) return { ok: false, detail: 'this proxy is stopping' }
    const known = this.#routing.size
    return known > 0 ? { ok: true, detail: `${known} endpoints` } : { ok: false, detail: 'no endpoint is known yet' }
  }

  #everySecond(): void {
    const now = systemClock.now()
    this.#clients.tick(now)
    this.#names.tick(now)
    for (const pool of this.#pools.values()) pool.tick(now)
    this.#outliers.tick(now)
    this.#complaints.everySecond()
    this.#outlierNews.everySecond()
    this.#refusedClients.everySecond()
  }

  #report(): void {
    const now = systemClock.now()
    this.#ledger.expire(now)
    this.#health.look()
    this.#reporter.report({ taken: this.#taken, open: this.#open }, this.#totals(), now)
  }

  #totals(): Record<string, number> {
    const engine = this.#shared.tally
    const { desk } = this.#service
    const totals: Record<string, number> = {
      requests: this.#tally.requests,
      'requests.open': this.#tally.open,
      retries: this.#tally.retries,
      hedges: this.#tally.hedges,
      'hedges.won': this.#tally.hedgesWon,
      'messages.out': this.#tally.messagesOut,
      'first-message-timeouts': this.#tally.firstMessageTimeouts,
      'slow-attempts': this.#tally.slowAttempts,
      'loads.in-band': this.#tally.loadsInBand,
      'loads.unreadable': this.#tally.loadsUnreadable,
      'own-calls.open': this.#own.open,
      'ledger.open': this.#ledger.open,
      'ledger.burning': this.#ledger.burning,
      'outliers.out': this.#outliers.count('out'),
      'outliers.probation': this.#outliers.count('probation'),
      buffered: engine.queuedBytes,
      backlog: backlogOf(this.#clients),
      'retry-copies': limits.retryCopiesMax - this.#service.retryCopies.left,
      'shadows.open': this.#service.shadows.open,
      'shadow-copies': limits.shadowCopiesMax - this.#service.shadows.retryCopies.left,
      'answers-held': this.#service.answersHeld.bytes,
      'waiting-bytes': desk.waitingBytes,
      'wait-ms': desk.waits.sumMs,
      'signal-age-ms': this.#tally.signals.sumMs,
      'signal-unknown': this.#tally.signals.unknown,
      'window-budget-used': limits.windowBudget - this.#shared.windowBudget.left,
      'connections.down': this.#clients.size,
      handshakes: this.#door.handshakes.open,
      'connections.aged': this.#clients.tally.aged,
      'connections.silent': this.#clients.tally.silent,
      'dns.lookups': this.#names.tally.lookups,
      'dns.failures': this.#names.tally.failures,
      'connections.up': connectionsOf(this.#pools.values()),
      'frames.in': engine.framesIn,
      'resets.in': engine.resetsIn,
      'resets.out': engine.resetsOut,
    }
    for (const [band, count] of desk.waiting) totals[`waiting.${band}`] = count
    for (const [at, count] of this.#tally.signals.counts.entries()) if (count > 0) totals[`signal-age.${at}`] = count
    for (const [at, count] of desk.waits.counts.entries()) if (count > 0) totals[`waited.${at}`] = count
    for (const [result, count] of Object.entries(this.#routing.prefixes)) totals[`prompts.${result}`] = count
    for (const [status, count] of this.#tally.byStatus.entries()) if (count > 0) totals[`status.${status}`] = count
    for (const [reason, count] of Object.entries(this.#tally.refusals)) totals[`refused.${reason}`] = count
    for (const [why, count] of Object.entries(this.#outliers.counts)) if (count > 0) totals[`outlier.${why}`] = count
    for (const [result, count] of Object.entries(this.#tally.shadows)) totals[`shadow.${result}`] = count
    for (const [why, count] of Object.entries(this.#tally.aimed)) totals[`aimed.${why}`] = count
    for (const [protocol, count] of Object.entries(this.#door.tally.arrived)) totals[`arrived.${protocol}`] = count
    for (const [reason, count] of Object.entries(this.#door.tally.rejected)) totals[`turned-away.${reason}`] = count
    for (const [guard, count] of Object.entries(engine.guards)) totals[`guard.${guard}`] = count
    return totals
  }
}

function backlogOf(links: Iterable<SocketLink>): number {
  let sum = 0
  for (const link of links) sum += link.connection.output.size + link.socket.writableLength
  return sum
}

function connectionsOf(pools: Iterable<UpstreamPool>): number {
  let sum = 0
  for (const pool of pools) sum += pool.connections
  return sum
}
