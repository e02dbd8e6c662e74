/** The primary: accepts connections, hands each to the worker that has fewest, holds the picture, and adds the workers' reports up. */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { listenOrExplain, splitHostPort } from '../../core/edge/listen.ts'
import type { Logger } from '../../core/edge/log.ts'
import { systemClock } from '../../core/edge/system-clock.ts'
import { limits } from '../../core/limits.ts'
import type { Endpoint, EndpointTls } from '../../core/mesh-snapshot.ts'
import type { ExplainQuery, ExplainReply } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { headOf, type PictureHead } from '../routing/routing-table.ts'
import { HeldLoads } from '../share/held-loads.ts'
import { LedgerSums } from '../share/ledger-sums.ts'
import { Picture } from '../share/picture.ts'
import type { LoadRow } from '../share/rows.ts'
import { TurnWindow } from '../share/turn-window.ts'
import type { FeedSource } from '../share/worker-feed.ts'
import { WorkerQuestions } from './ask-workers.ts'
import type { ConnectionRules } from './connection-settings.ts'
import type { FrontOptions } from './front-door.ts'
import { LOOK_PERIOD_MS, Seat, type SeatOwner } from './seat.ts'
import type { WorkerReport } from './worker-channel.ts'

export type PrimaryOptions = {
  readonly listen: string
  readonly workers: number
  readonly nameEndpoints: boolean
  /** Where this proxy stands; may be empty. */
  readonly zone: string
  readonly turnGrainMs: number
  readonly front: FrontOptions
  readonly endpointTls: EndpointTls | undefined
  readonly connections: ConnectionRules
  readonly log: Logger
}

const RESTART_DELAY_MS = 500
const SHORT_LIFE_MS = 5_000

export class Primary implements SeatOwner {
  readonly sums = new LedgerSums()
  /** Of the workers, by place. */
  readonly turns: readonly TurnWindow[]
  readonly #options: PrimaryOptions
  readonly #log: Logger
  readonly #seats = new Set<Seat>()
  readonly #server: Server
  readonly #picture = new Picture()
  readonly #loads = new HeldLoads(() => performance.now())
  readonly #questions = new WorkerQuestions()
  #front: FrontOptions
  #held = false
  #stopping = false
  #restarting = false
  readonly #waiting: Socket[] = []
  #look: NodeJS.Timeout | undefined
  /** What workers that ended had counted: a counter never falls. */
  readonly #departedTotals: Record<string, number> = {}
  #departedCpuSeconds = 0
  crashes = 0
  hangs = 0
  restarts = 0

  constructor(options: PrimaryOptions) {
    this.#options = options
    this.#log = options.log
    this.turns = Array.from({ length: options.workers }, () => new TurnWindow())
    this.#front = options.front
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#hand(socket))
  }

  /** Resolves with the address once workers run and know the picture. The port is open before: who comes early waits, and need not come again. */
  async start(): Promise<string> {
    this.#look = setInterval(() => this.#lookAround(), LOOK_PERIOD_MS)
    await Promise.all([
      listenOrExplain(this.#server, this.#options.listen, 'data plane'),
      ...Array.from({ length: this.#options.workers }, (_, place) => this.#spawn(place).ready),
    ])
    const { port } = this.#server.address() as AddressInfo
    const { host } = splitHostPort(this.#options.listen)
    return `${host.includes(':') ? `[${host}]` : host}:${port}`
  }

  get endpointCount(): number {
    return this.#picture.size
  }

  get endpointIds(): Iterable<string> {
    return this.#picture.ids
  }

  /** Workers that take clients or finish with them. */
  get seats(): Iterable<Pick<Seat, 'place' | 'report' | 'load' | 'state'>> {
    return this.#seats
  }

  get reports(): readonly WorkerReport[] {
    return [...this.#seats].flatMap((seat) => seat.report ?? [])
  }

  /** Totals of workers that ended, as they last reported them; of gauges they say nothing any more. */
  get departedTotals(): Readonly<Record<string, number>> {
    return this.#departedTotals
  }

  get departedCpuSeconds(): number {
    return this.#departedCpuSeconds
  }

  /** Until it is released, a change is under way in pieces: what breaks waits until all that makes is known. */
  holdBreaks(held: boolean): void {
    this.#held = held
    for (const seat of this.#seats) seat.feed.held = held
    if (!held) this.#nourishAll()
  }

  /** Rows of the picture; who is not named stays as it is. */
  change(upserts: readonly Endpoint[], removed: readonly string[]): void {
    for (const endpoint of upserts) {
      const how = this.#picture.put(endpoint)
      if (how === 'same') continue
      this.sums.know(endpoint.id)
      for (const seat of this.#seats) seat.feed.changed(endpoint.id, how)
    }
    const gone = removed.filter((id) => this.#picture.remove(id))
    for (const id of gone) {
      const told = this.#loads.forget(id)
      for (const seat of this.#seats) {
        seat.feed.changed(id, 'breaks')
        // Should it come back before a worker hears that it went.
        if (told) seat.feed.loaded(id)
      }
    }
    this.sums.forget(
      gone,
      [...this.#seats].map((seat) => seat.accounts),
    )
    this.#nourishAll()
  }

  setHead(head: PictureHead): void {
    this.#picture.head = headOf(head)
    for (const seat of this.#seats) seat.feed.headChanged()
    this.#nourishAll()
  }

  /** Of what comes from now on; connections that stand stay as they are. */
  setFront(front: FrontOptions): void {
    this.#front = front
    for (const seat of this.#seats) seat.tell({ kind: 'front', front })
  }

  setLoads(rows: readonly LoadRow[]): void {
    for (const row of rows) {
      if (this.#picture.get(row.id) === undefined) continue
      this.#loads.put(row)
      for (const seat of this.#seats) seat.feed.loaded(row.id)
    }
    this.#nourishAll()
  }

  /** What the teller told of loads, and told no other since, is so now. */
  loadsHold(teller: number): void {
    this.#loads.hold(teller)
    for (const seat of this.#seats) seat.feed.loadsHold()
    this.#nourishAll()
  }

  /** Undefined when too many ask already. */
  explain(query: ExplainQuery): Promise<ExplainReply | undefined> {
    return this.#questions.explain(
      query,
      [...this.#seats].filter((seat) => seat.state !== 'starting'),
    )
  }

  /** One worker after the other is replaced by a fresh one and finishes what it has begun; no request fails of it. */
  async restartWorkers(): Promise<void> {
    if (this.#restarting || this.#stopping) return
    this.#restarting = true
    try {
      for (const seat of [...this.#seats]) {
        if (this.#stopping || seat.state !== 'serving') continue
        await this.#spawn(seat.place).ready
        this.#log.info({ pid: seat.child.pid }, 'worker.leaves')
        await seat.leave(this.#options.connections.drainTimeout)
        this.restarts++
      }
      this.#log.info({ workers: this.#seats.size }, 'workers.restarted')
    } catch (error) {
      this.#log.error({ err: error }, 'workers.restart-failed')
    } finally {
      this.#restarting = false
    }
  }

  /** Accepts no more; resolves when every worker has finished its streams, or the limit has passed. */
  async stop(): Promise<void> {
    this.#stopping = true
    clearInterval(this.#look)
    this.#server.close()
    for (const socket of this.#waiting.splice(0)) socket.destroy()
    await Promise.all([...this.#seats].map((seat) => seat.leave(this.#options.connections.drainTimeout)))
  }

  #spawn(place: number): Seat {
    const seat = new Seat(place, this, (of) => this.#sourceFor(of))
    // Clients wait for a replacement that is the only one: it takes them cold.
    const rehearse = this.crashes === 0 || [...this.#seats].some((other) => other.state === 'serving')
    this.#seats.add(seat)
    seat.feed.held = this.#held
    const { nameEndpoints, zone, workers, turnGrainMs, connections } = this.#options
    seat.tell({ kind: 'start', nameEndpoints, zone, workers, turnGrainMs, connections, rehearse })
    seat.tell({ kind: 'front', front: this.#front })
    seat.tell({ kind: 'endpoint-tls', tls: this.#options.endpointTls })
    for (const id of this.#picture.ids) seat.feed.changed(id, 'makes')
    seat.feed.headChanged()
    for (const id of this.#loads.ids) seat.feed.loaded(id)
    for (const id of this.sums.chargedIds()) seat.feed.charged(id)
    return seat
  }

  onReady(seat: Seat): void {
    this.#log.debug({ pid: seat.child.pid, place: seat.place }, 'worker.ready')
    for (const socket of this.#waiting.splice(0)) this.#hand(socket)
  }

  onMessage(seat: Seat, message: Parameters<SeatOwner['onMessage']>[1]): void {
    if (message.kind === 'log') this.#log[message.level](message.fields, message.event)
    else if (message.kind === 'explained') this.#questions.answered(message.number, message.reply)
    else if (message.kind === 'report') {
      seat.report = message.report
      this.turns[seat.place]?.note(message.report.vitals.longestTurn, systemClock.now())
      this.#shareCharges(seat, this.sums.take(seat.accounts, message.report.rows))
    }
  }

  onExit(seat: Seat, code: number | null, signal: NodeJS.Signals | null): void {
    this.#seats.delete(seat)
    this.#bury(seat)
    if (this.#stopping || seat.state === 'leaving') return
    this.crashes++
    this.#log.error({ pid: seat.child.pid, code, signal }, 'worker.died')
    if ([...this.#seats].some((other) => other.place === seat.place && other.state !== 'leaving')) return
    // One that dies as soon as it starts would otherwise keep a core busy with starting.
    const delay = performance.now() - seat.since < SHORT_LIFE_MS ? RESTART_DELAY_MS : 0
    setTimeout(() => {
      if (!this.#stopping) this.#spawn(seat.place)
    }, delay)
  }

  onUnsent(sockets: readonly Socket[]): void {
    for (const socket of sockets) this.#hand(socket)
  }

  #bury(seat: Seat): void {
    for (const [name, count] of Object.entries(seat.report?.totals ?? {}))
      this.#departedTotals[name] = (this.#departedTotals[name] ?? 0) + count
    this.#departedCpuSeconds += seat.report?.vitals.cpuSeconds ?? 0
    this.#shareCharges(seat, this.sums.bury(seat.accounts))
  }

  /** Every other worker learns what this proxy holds against an endpoint beyond its own. */
  #shareCharges(from: Seat, ids: readonly string[]): void {
    if (ids.length === 0) return
    for (const seat of this.#seats) if (seat !== from) for (const id of ids) seat.feed.charged(id)
    this.#nourishAll()
  }

  #sourceFor(seat: Seat): FeedSource {
    return {
      endpoint: (id) => this.#picture.get(id),
      head: () => this.#picture.head,
      load: (id) => this.#loads.row(id, this.#picture.get(id)?.freshness === 'fresh'),
      loadsHold: () => this.#loads.held(),
      elsewhere: (id) => this.sums.elsewhere(id, seat.accounts),
    }
  }

  #nourishAll(): void {
    for (const seat of this.#seats) seat.nourish()
  }

  #lookAround(): void {
    for (const seat of this.#seats) {
      if (!seat.look()) continue
      this.hangs++
      this.#log.error({ pid: seat.child.pid }, 'worker.hangs')
      seat.child.kill('SIGKILL')
    }
  }

  #hand(socket: Socket): void {
    let best: Seat | undefined
    for (const seat of this.#seats) if (seat.state === 'serving' && (best === undefined || isBetter(seat, best))) best = seat
    if (best === undefined || !best.hand(socket)) this.#hold(socket)
  }

  /** Nobody can take it yet: it waits, paused, for the next worker. */
  #hold(socket: Socket): void {
    if (this.#waiting.length >= limits.socketsWaitingMax || this.#stopping) socket.destroy()
    else this.#waiting.push(socket)
  }
}

const isBetter = (a: Seat, b: Seat): boolean => (a.quiet === b.quiet ? a.load < b.load : b.quiet)
