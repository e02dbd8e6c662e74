/**
 * The relay as a whole between a client and three servers in memory: calls of every shape and by another name, pauses, cancels, servers that refuse, break, go away or
 * take nothing, or say when to come again, answers so late that a second server is asked, deadlines. In the end every call has ended once, nothing is charged, kept or queued, and no byte came twice or out of order.
 */
import { limits } from '../../core/limits.ts'
import { EMPTY_SNAPSHOT, type Endpoint } from '../../core/mesh-snapshot.ts'
import type { HeaderField } from '../../data-plane/http2/header-field.ts'
import type { Stream } from '../../data-plane/http2/stream.ts'
import type { Draw } from './draw.ts'
import { ALIAS, Attempt, Call, type Kind, MODEL } from './relay-call.ts'
import { RelayStage, type Scene } from './relay-stage.ts'
import { type Counts, must, type Play, type Target } from './target.ts'

const SERVERS = ['a', 'b', 'c']
const KINDS: readonly Kind[] = ['infer', 'infer', 'stream', 'route']
const CALLS_MAX = 12
const ATTEMPTS_MAX = 4
const ROUNDS_MAX = 3_000

const endpoint = (id: string): Endpoint => ({
  ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models: [MODEL] },
  ...{ weight: 100, state: 'READY', freshness: 'fresh', capacity: 0 },
})
const SNAPSHOT = {
  ...EMPTY_SNAPSHOT,
  models: [{ name: MODEL, aliases: [ALIAS], policy: 'ROUND_ROBIN' as const, retry: { attempts: ATTEMPTS_MAX }, hedge: { afterMs: 300 } }],
  routes: [{ prefix: '/any.Service/', model: MODEL }],
  endpoints: SERVERS.map(endpoint),
}

class RelayPlay implements Play {
  readonly #counts: Counts
  readonly #calls: Call[] = []
  readonly #stage: RelayStage

  constructor(draw: Draw, counts: Counts) {
    this.#counts = counts
    const scene: Scene = {
      snapshot: SNAPSHOT,
      answerKind: () => (this.#stage.draw.oneIn(2) ? 'in-order' : 'decoupled'),
      serve: (_server, stream, fields, endStream) => this.#serve(stream, fields, endStream),
    }
    this.#stage = new RelayStage(scene, draw)
  }

  readonly #all = (move: (draw: Draw) => void) => (draw: Draw) => {
    this.#stage.draw = draw
    move(draw)
  }

  readonly moves: Play['moves'] = Object.fromEntries(
    Object.entries({
      call: (draw: Draw): void => this.#call(draw),
      send: (draw: Draw) =>
        this.#with(
          draw,
          this.#calls,
          (call) => call.maySend,
          (call) => call.send(draw),
        ),
      close: (draw: Draw) =>
        this.#with(
          draw,
          this.#calls,
          (call) => call.maySend,
          (call) => call.halfClose(),
        ),
      cancel: (draw: Draw) =>
        this.#with(
          draw,
          this.#calls,
          (call) => call.over === undefined,
          (call) => call.cancel(),
        ),
      begin: (draw: Draw) => this.#withAttempt(draw, (attempt) => attempt.begin()),
      answer: (draw: Draw) => this.#withAttempt(draw, (attempt) => attempt.answer(draw)),
      finish: (draw: Draw) => this.#withAttempt(draw, (attempt) => attempt.finish(draw)),
      misbehave: (draw: Draw) => this.#withAttempt(draw, (attempt) => attempt.misbehave(draw)),
      release: (draw: Draw) =>
        draw.oneIn(2)
          ? this.#with(
              draw,
              this.#calls,
              () => true,
              (call) => call.release(draw.oneIn(2)),
            )
          : this.#releaseAttempt(draw),
      up: (draw: Draw) => this.#stage.flow(draw, true),
      down: (draw: Draw) => this.#stage.flow(draw, false),
      lose: (draw: Draw): void => void this.#stage.lose(draw),
      retire: (draw: Draw) => this.#stage.retire(draw),
      pass: (draw: Draw) => this.#stage.pass(draw.oneIn(20) ? 40_000 : draw.below(1_500)),
    }).map(([name, move]) => [name, this.#all(move)]),
  )

  end(draw: Draw): void {
    this.#stage.draw = draw
    this.#stage.ending = true
    for (let round = 0, passed = false; ; round++) {
      must(round < ROUNDS_MAX, 'bytes move for ever')
      for (const call of this.#calls) {
        call.release()
        call.halfClose()
        for (const attempt of call.attempts) {
          attempt.release()
          attempt.finish(draw, 0)
        }
      }
      if (this.#stage.flowAll(draw) > 0) passed = false
      else if (passed) break
      else {
        // Somebody may wait for the pause that a server asked for.
        this.#stage.pass(limits.retryPauseMax + 1_000)
        passed = true
      }
    }
    for (const [i, call] of this.#calls.entries())
      must(call.over !== undefined || call.cancelled, `call ${i} (${call.kind}, ${call.attempts.length} attempts) never ended`)
    this.#stage.mustBeClean()
    this.#counts.frames += this.#stage.frames
  }

  #with<T>(draw: Draw, list: readonly T[], fits: (one: T) => boolean, act: (one: T) => void): void {
    const some = list.filter(fits)
    if (some.length > 0) act(draw.pick(some))
  }

  #withAttempt(draw: Draw, act: (attempt: Attempt) => void): void {
    this.#with(
      draw,
      this.#calls.flatMap((call) => call.attempts),
      (attempt) => !attempt.over,
      act,
    )
  }

  #releaseAttempt(draw: Draw): void {
    this.#with(
      draw,
      this.#calls.flatMap((call) => call.attempts),
      (attempt) => attempt.hold,
      (attempt) => attempt.release(draw.oneIn(2)),
    )
  }

  #call(draw: Draw): void {
    const { client } = this.#stage
    const running = this.#calls.filter((call) => call.over === undefined && !call.cancelled).length
    if (running >= CALLS_MAX || !client.canOpen) return
    const id = this.#calls.length
    this.#counts.streams++
    this.#calls.push(new Call(draw.pick(KINDS), (fields, end) => client.open(fields, end), id, draw))
  }

  #serve(stream: Stream, fields: readonly HeaderField[], endStream: boolean): void {
    const call = this.#calls[Number(fields.find((field) => field.name === 'x-call')?.text)]
    must(call !== undefined, 'a server is asked what no client asked')
    must(call.attempts.length < ATTEMPTS_MAX, 'a request is tried more often than its model allows')
    const attempt = new Attempt(call, stream, this.#stage.draw)
    if (endStream) attempt.hearEnd()
  }
}

export const relayTarget: Target = {
  name: 'relay',
  about: 'the relay between a client and three servers: retries, hedges, other names, pushback, cancels, losses, deadlines, slow readers',
  stepsMax: 200,
  weights: {
    ...{ call: 10, send: 20, close: 3, cancel: 1.5, begin: 4, answer: 20, finish: 6, misbehave: 2, release: 4 },
    ...{ up: 30, down: 30, lose: 0.6, retire: 0.5, pass: 1 },
  },
  start: (draw, counts) => new RelayPlay(draw, counts),
}
