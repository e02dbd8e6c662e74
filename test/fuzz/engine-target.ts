/**
 * One connection of the engine between an owner and a peer that misbehaves in all ways: in both roles, with reads cut anywhere, a socket that takes
 * its time, windows at their edges and read buffers that are overwritten. Whatever comes, streams end once and nothing is kept behind the end.
 */
import { limits } from '../../core/limits.ts'
import { Connection } from '../../data-plane/http2/connection.ts'
import type { Role } from '../../data-plane/http2/connection-events.ts'
import { newTally, WindowBudget } from '../../data-plane/http2/shared.ts'
import type { Draw } from './draw.ts'
import type { Lane } from './engine-lane.ts'
import { Owner } from './engine-owner.ts'
import { Peer } from './engine-peer.ts'
import { PeerMoves } from './engine-peer-moves.ts'
import { type Scene, VIOLATIONS } from './engine-violations.ts'
import { EngineWay, slabs } from './engine-way.ts'
import { type Counts, must, type Play, type Target } from './target.ts'

/** Beyond what credit bounds: heads, resets and acknowledgements of a case. */
const OUTPUT_SLACK = 512 * 1_024
/** Rounds in which everything must have left. */
const ROUNDS_MAX = 2_000

class EnginePlay implements Play {
  readonly #role: Role
  readonly #counts: Counts
  readonly #peer: Peer
  readonly #owner: Owner
  readonly #connection: Connection
  readonly #shared = { slabs, windowBudget: new WindowBudget(), tally: newTally() }
  readonly #budget = this.#shared.windowBudget.left
  readonly #way: EngineWay
  readonly #moves: PeerMoves
  #shut = 0

  constructor(draw: Draw, counts: Counts) {
    this.#role = draw.oneIn(2) ? 'server' : 'client'
    this.#counts = counts
    this.#peer = new Peer(this.#role, counts)
    this.#owner = new Owner(this.#peer, this.#role, draw, counts)
    this.#connection = new Connection(this.#role, this.#owner, this.#shared)
    this.#way = new EngineWay(this.#peer, this.#connection)
    this.#moves = new PeerMoves(this.#peer, this.#role)
    this.#owner.onFull = () => this.#way.write()
    this.#peer.settings(draw)
  }

  readonly #guarded =
    (move: (draw: Draw) => void) =>
    (draw: Draw): void => {
      if (this.#owner.fatal !== undefined) return
      this.#owner.draw = draw
      move(draw)
      must(this.#owner.fatal === undefined || this.#peer.wild, `what is legal ended the connection: ${this.#owner.fatal}`)
      must(this.#connection.output.size < limits.socketBacklogMax + OUTPUT_SLACK, `${this.#connection.output.size} bytes of output`)
    }

  readonly moves = Object.fromEntries(
    Object.entries({
      head: (draw: Draw) => this.#moves.head(draw),
      data: (draw: Draw) =>
        this.#withLane(
          draw,
          (lane) => lane.peerMaySend,
          (lane) => this.#peer.data(lane, draw.oneIn(8), draw),
        ),
      end: (draw: Draw) =>
        this.#withLane(
          draw,
          (lane) => lane.peerMaySend,
          (lane) => this.#moves.trailers(lane, draw),
        ),
      cancel: (draw: Draw) =>
        this.#withLane(
          draw,
          (lane) => (lane.peerHead || lane.engineHead) && !lane.peerGone && !(lane.peerEnded && lane.engineEnded),
          (lane) => this.#peer.reset(lane, draw.below(14)),
        ),
      grant: (draw: Draw) => this.#moves.grant(draw),
      settings: (draw: Draw) => this.#peer.settings(draw),
      ping: (draw: Draw) => this.#peer.ping(draw),
      oddity: (draw: Draw) => this.#moves.oddity(draw),
      goaway: (draw: Draw) => this.#moves.goaway(draw),
      open: () => {
        if (this.#role === 'client') this.#owner.open(this.#connection)
      },
      answer: (draw: Draw) =>
        this.#withLane(
          draw,
          (lane) => lane.stream !== undefined && !lane.ownerHead,
          (lane) => this.#owner.answer(lane),
        ),
      body: (draw: Draw) =>
        this.#withLane(
          draw,
          (lane) => lane.ownerMaySend,
          (lane) => this.#owner.body(lane),
        ),
      finish: (draw: Draw) =>
        this.#withLane(
          draw,
          (lane) => lane.ownerMaySend,
          (lane) => this.#owner.finish(lane),
        ),
      reset: (draw: Draw) =>
        this.#withLane(
          draw,
          (lane) => lane.stream !== undefined,
          (lane) => this.#owner.reset(lane),
        ),
      credit: (draw: Draw) =>
        this.#withLane(
          draw,
          (lane) => lane.held > 0,
          (lane) => this.#owner.giveCredit(lane),
        ),
      shutdown: () => this.#shutdown(),
      deliver: (draw: Draw) => this.#way.deliver(draw, !draw.oneIn(6)),
      write: () => this.#way.write(),
      took: () => this.#way.took(),
      violate: (draw: Draw) => this.#violate(draw),
      mangle: (draw: Draw) => this.#way.mangle(draw),
    }).map(([name, move]) => [name, this.#guarded(move)]),
  )

  end(draw: Draw): void {
    this.#owner.draw = draw
    if (this.#owner.fatal === undefined && !this.#peer.wild) this.#letAllArrive(draw)
    this.#way.took()
    this.#way.write()
    this.#way.took()
    const reason = this.#owner.fatal
    this.#connection.lose('broken')
    for (const lane of this.#peer.lanes.values()) must(this.#owner.isSilent(lane), `stream ${lane.id} was never told its end`)
    this.#connection.receive(new Uint8Array(100), 100)
    must(this.#owner.fatal === reason, 'a lost connection fails no more')
    must(this.#connection.streams.size === 0, `${this.#connection.streams.size} streams are kept`)
    must(this.#shared.tally.queuedBytes === 0, `${this.#shared.tally.queuedBytes} bytes still count as queued`)
    must(
      this.#shared.windowBudget.left === this.#budget,
      `${this.#budget - this.#shared.windowBudget.left} bytes of windows never came back`,
    )
    if (reason !== undefined) must((this.#peer.goaway ?? 0) > 0, 'a connection that fails says so')
  }

  /** With all credit given, everything that was sent comes, each stream to its end. */
  #letAllArrive(draw: Draw): void {
    for (let round = 0; ; round++) {
      must(round < ROUNDS_MAX, 'bytes move for ever')
      this.#peer.grantAll()
      this.#way.deliver(draw, true)
      for (const lane of this.#peer.lanes.values()) this.#owner.giveCredit(lane, true)
      this.#way.write()
      const silent = this.#way.free
      this.#way.took()
      if (silent && this.#peer.out.length === 0 && this.#connection.output.size === 0) break
    }
    must(this.#owner.fatal === undefined, `what is legal ended the connection: ${this.#owner.fatal}`)
    must(!this.#peer.waitsForAck, 'SETTINGS and PINGs are answered')
    for (const lane of this.#peer.lanes.values()) {
      if (lane.cut) continue
      if (lane.stream === undefined) {
        must(this.#shut > 1, `stream ${lane.id} never came to the owner`)
        continue
      }
      must(lane.up.left === 0 && lane.headsUp.length === 0, `stream ${lane.id}: ${lane.up.left} bytes never came to the owner`)
      must(lane.down.left === 0 && lane.headsDown.length === 0, `stream ${lane.id}: ${lane.down.left} bytes never came to the peer`)
      must(lane.heardEnd === lane.peerEnded && lane.engineEnded === lane.ownerEnded, `stream ${lane.id}: an end never came`)
    }
  }

  #withLane(draw: Draw, fits: (lane: Lane) => boolean, act: (lane: Lane) => void): void {
    const lanes = [...this.#peer.lanes.values()].filter(fits)
    if (lanes.length > 0) act(draw.pick(lanes))
  }

  #shutdown(): void {
    this.#shut++
    if (this.#shut === 1) this.#connection.announceShutdown()
    else if (this.#shut === 2 && this.#peer.retiring) this.#connection.finishShutdown()
  }

  #violate(draw: Draw): void {
    if (this.#peer.wild) return
    // The peer first hears everything, so that what it breaks is a rule and not a race.
    for (let i = 0; i < 3; i++) {
      this.#way.deliver(draw, true)
      this.#way.write()
      this.#way.took()
    }
    const alive = [...this.#peer.lanes.values()].filter((lane) => !this.#owner.isSilent(lane) && !lane.peerGone)
    const scene: Scene = {
      peer: this.#peer,
      role: this.#role,
      draw,
      sending: alive.find((lane) => lane.peerMaySend && lane.sendWindow < 200_000 && lane.sendWindow + 2 < this.#peer.sendWindow),
      halfClosed: alive.find((lane) => lane.peerEnded && !lane.engineEnded),
      unanswered: this.#role === 'client' ? alive.find((lane) => lane.engineHead && !lane.peerHead) : undefined,
      newLane: () => this.#moves.newLane(),
    }
    const violation = draw.pick(VIOLATIONS)
    const hurt = violation.commit(scene)
    if (hurt === undefined) return
    this.#counts.violations++
    if (hurt !== 'done') hurt.peerReset = true
    const wild = violation.ends === 'connection'
    this.#peer.wild = wild
    this.#way.deliver(draw, true)
    if (wild) must(this.#owner.fatal !== undefined, `${violation.name}: the connection goes on`)
    else if (hurt !== 'done' && this.#owner.fatal === undefined) must(this.#owner.isSilent(hurt), `${violation.name}: the stream goes on`)
    // One stream's breach may end the connection; the case is then over.
    if (this.#owner.fatal !== undefined) this.#peer.wild = true
  }
}

export const engineTarget: Target = {
  name: 'engine',
  about: 'one connection of the engine, either side, and a peer that knows the rules and breaks them',
  stepsMax: 240,
  weights: {
    ...{ head: 10, data: 30, end: 5, cancel: 2, grant: 10, settings: 3, ping: 2, oddity: 4, goaway: 0.15 },
    ...{ open: 10, answer: 8, body: 16, finish: 5, reset: 1, credit: 8, shutdown: 0.2 },
    ...{ deliver: 24, write: 14, took: 14, violate: 0.6, mangle: 0.2 },
  },
  start: (draw, counts) => new EnginePlay(draw, counts),
}
