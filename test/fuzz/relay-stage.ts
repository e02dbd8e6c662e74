/**
 * The proxy's part of a case: one worker's request service between a client's connection and those to three servers, all in memory. It loses servers,
 * retires them and lets time pass, and knows what must be left when all is over: nothing.
 */
import { limits } from '../../core/limits.ts'
import type { MeshSnapshot } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import { newRequestTally } from '../../data-plane/admission/request-tally.ts'
import { RetryBudget } from '../../data-plane/admission/retry-budget.ts'
import { TimerWheel } from '../../data-plane/admission/timer-wheel.ts'
import type { Connection } from '../../data-plane/http2/connection.ts'
import type { HeaderField } from '../../data-plane/http2/header-field.ts'
import type { Stream } from '../../data-plane/http2/stream.ts'
import { OutlierWatch } from '../../data-plane/outliers/outlier-watch.ts'
import { EndpointSlot } from '../../data-plane/routing/endpoint-slot.ts'
import { Ledger } from '../../data-plane/routing/ledger.ts'
import { RoutingTable } from '../../data-plane/routing/routing-table.ts'
import { type Ports, RequestService } from '../../data-plane/serve-request.ts'
import { openInflater } from '../../data-plane/wire/inflate.ts'
import type { Draw } from './draw.ts'
import { newShared, Pipe } from './pipe.ts'
import { must } from './target.ts'

export type Scene = {
  readonly snapshot: MeshSnapshot
  readonly answerKind: Ports['answerKind']
  /** A server is asked. */
  serve(server: string, stream: Stream, fields: readonly HeaderField[], endStream: boolean): void
}

export class RelayStage {
  /** The proxy's; the ends outside it have their own. */
  readonly #shared = newShared()
  readonly #budget = this.#shared.windowBudget.left
  readonly #ledger = new Ledger()
  readonly #wheel = new TimerWheel(millis(1_000))
  readonly #tally = newRequestTally()
  readonly #service: RequestService
  readonly #scene: Scene
  readonly #front: Pipe
  readonly #backs = new Map<string, Pipe>()
  readonly #pipes: Pipe[] = []
  readonly #routing: RoutingTable
  readonly #outliers: OutlierWatch
  #now = 1_000
  /** Whoever moves next draws by its own. */
  draw: Draw
  /** No server is full any more. */
  ending = false
  /** How often a server took no more streams. */
  full = 0

  constructor(scene: Scene, draw: Draw) {
    this.draw = draw
    this.#scene = scene
    const routing = new RoutingTable(scene.snapshot, (one) => new EndpointSlot(one))
    this.#routing = routing
    this.#outliers = new OutlierWatch({ resort: (slot) => routing.resort(slot), tell: () => {} })
    this.#service = new RequestService(
      {
        now: () => millis(this.#now),
        draw: () => this.draw.part(1),
        routing: () => routing,
        open: (slot) => this.#open(slot.id),
        openInflater,
        answerKind: scene.answerKind,
        answer: () => {},
        serveOwn: () => undefined,
        complain: () => {},
        tally: this.#tally,
        outliers: this.#outliers,
      },
      this.#ledger,
      this.#wheel,
      new RetryBudget(),
      { nameEndpoints: false, workers: 1 },
    )
    const onRequest = (stream: Stream, fields: HeaderField[]): void => this.#service.accept(stream, fields)
    this.#front = new Pipe([{}, newShared()], [{ onRequest }, this.#shared])
    this.#pipes.push(this.#front)
  }

  /** The client's end. */
  get client(): Connection {
    return this.#front.client.connection
  }

  get frames(): number {
    return this.#shared.tally.framesIn + this.#front.client.shared.tally.framesIn
  }

  /** Moves a portion on one of the connections. */
  flow(draw: Draw, upwards: boolean): void {
    const pipe = draw.oneIn(2) ? this.#front : draw.pick(this.#pipes)
    pipe.flow(upwards, draw, draw.oneIn(3))
  }

  /** Moves all that is under way; answers how much it was. */
  flowAll(draw: Draw): number {
    let moved = 0
    for (const pipe of this.#pipes) for (const upwards of [true, false]) moved += pipe.flow(upwards, draw, true)
    return moved
  }

  /** Answers whether there was one to lose. */
  lose(draw: Draw): boolean {
    const some = this.#pipes.filter((pipe) => pipe.open && pipe !== this.#front)
    if (some.length > 0) draw.pick(some).break()
    return some.length > 0
  }

  /** A server goes away as it should. */
  retire(draw: Draw): void {
    const some = [...this.#backs.values()].filter((pipe) => pipe.open)
    if (some.length === 0) return
    const { connection } = draw.pick(some).server
    connection.announceShutdown()
    if (draw.oneIn(2)) connection.finishShutdown()
  }

  pass(span: number): void {
    this.#now += span
    this.#wheel.advance(millis(this.#now))
    this.#ledger.expire(millis(this.#now))
    this.#outliers.tick(millis(this.#now))
  }

  mustBeClean(): void {
    this.#ledger.expire(millis(this.#now + limits.burningMax))
    const { open, burning } = this.#ledger
    must(open === 0 && burning === 0, `${open} attempts and ${burning} cancelled ones are still charged`)
    for (const slot of this.#routing.slots) must(slot.unbegun === 0, `${slot.unbegun} attempts at ${slot.id} still count as unanswered`)
    must(this.#tally.open === 0, `${this.#tally.open} requests still count as open`)
    const copies = limits.retryCopiesMax - this.#service.retryCopies.left
    must(copies === 0, `${copies} bytes of copies are kept`)
    must(this.#service.answersHeld.bytes === 0, `${this.#service.answersHeld.bytes} bytes of answers count as held`)
    must(this.#wheel.size === 0, `${this.#wheel.size} timers run`)
    for (const pipe of this.#pipes) pipe.mustBeEmpty(pipe === this.#front ? 'the client' : 'a server')
    const taken = this.#budget - this.#shared.windowBudget.left
    must(taken === 0, `${taken} bytes of windows never came back`)
  }

  /** The pool's part: a connection that takes no more has a successor. */
  #open(id: string): Connection | undefined {
    if (!this.ending && this.draw.oneIn(40)) {
      this.full++
      return undefined
    }
    const known = this.#backs.get(id)
    if (known?.open && known.client.connection.canOpen) return known.client.connection
    const onRequest = (stream: Stream, fields: HeaderField[], endStream: boolean): void => this.#scene.serve(id, stream, fields, endStream)
    const pipe = new Pipe([{}, this.#shared], [{ onRequest }, newShared()])
    this.#backs.set(id, pipe)
    this.#pipes.push(pipe)
    return pipe.client.connection
  }
}
