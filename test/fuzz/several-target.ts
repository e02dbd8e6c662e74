/**
 * Several requests in one client stream, through the relay to three servers: models in order, decoupled ones, some of both hedged, such as are not known at first, such as
 * nobody has, sequences; servers that fail and are lost, slow readers, cancels, deadlines. What one request meets is no other's concern.
 */
import { EMPTY_SNAPSHOT, type Endpoint, type MeshSnapshot } from '../../core/mesh-snapshot.ts'
import type { HeaderField } from '../../data-plane/http2/header-field.ts'
import type { Stream } from '../../data-plane/http2/stream.ts'
import type { AnswerKind } from '../../data-plane/relay/answer-order.ts'
import type { Draw } from './draw.ts'
import { RelayStage } from './relay-stage.ts'
import { HEDGED, type Said, SeveralAttempt } from './several-attempt.ts'
import { type Asked, MODELS, SeveralCall } from './several-call.ts'
import { type Counts, must, type Play, type Target } from './target.ts'

const CALLS_MAX = 4
const ROUNDS_MAX = 3_000

const endpoint = (id: string, models: readonly string[]): Endpoint => ({
  ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models },
  ...{ weight: 100, state: 'READY', freshness: 'fresh', capacity: 0 },
})
const SNAPSHOT: MeshSnapshot = {
  ...EMPTY_SNAPSHOT,
  models: HEDGED.map((name) => ({ name, policy: 'LEAST_WAIT' as const, hedge: { afterMs: 300 } })),
  endpoints: [endpoint('a', ['plain', 'slow', 'late']), endpoint('b', ['plain', 'tokens', 'late']), endpoint('c', ['slow', 'tokens'])],
}

class SeveralPlay implements Play {
  readonly #counts: Counts
  readonly #calls: SeveralCall[] = []
  readonly #attempts: SeveralAttempt[] = []
  readonly #said = new Map<string, Said>()
  readonly #stage: RelayStage
  /** Who waits to hear how a model answers. */
  #asking: ((kind: AnswerKind) => void)[] = []
  /** Nothing has gone wrong: no request may fail that some server has, and a sequence stays where it is. */
  #calm = true

  constructor(draw: Draw, counts: Counts) {
    this.#counts = counts
    this.#stage = new RelayStage(
      {
        snapshot: SNAPSHOT,
        answerKind: (model, _version, _slot, tell) => this.#kindOf(model, tell),
        serve: (server, stream, fields, endStream) => this.#serve(server, stream, fields, endStream),
      },
      draw,
    )
  }

  readonly moves: Play['moves'] = Object.fromEntries(
    Object.entries({
      call: (draw: Draw): void => this.#call(draw),
      send: (draw: Draw): void => pick(draw, this.#calls, ({ maySend }) => maySend)?.send(draw),
      close: (draw: Draw): void => pick(draw, this.#calls, ({ maySend, asked }) => maySend && asked.length > 0)?.halfClose(),
      cancel: (draw: Draw): void => pick(draw, this.#calls, ({ over }) => over === undefined)?.cancel(),
      answer: (draw: Draw): void => pick(draw, this.#attempts, ({ over }) => !over)?.answer(draw),
      finish: (draw: Draw): void => pick(draw, this.#attempts, ({ over }) => !over)?.finish(draw),
      fail: (draw: Draw): void => this.#fail(draw),
      learn: (draw: Draw): void => this.#learn(draw),
      release: (draw: Draw): void => {
        pick(draw, this.#calls, () => true)?.release(draw.oneIn(2))
        pick(draw, this.#attempts, ({ hold }) => hold)?.release(draw.oneIn(2))
      },
      up: (draw: Draw): void => this.#stage.flow(draw, true),
      down: (draw: Draw): void => this.#stage.flow(draw, false),
      lose: (draw: Draw): void => {
        if (this.#stage.lose(draw)) this.#calm = false
      },
      retire: (draw: Draw): void => {
        this.#calm = false
        this.#stage.retire(draw)
      },
      pass: (draw: Draw): void => {
        this.#calm = false
        this.#stage.pass(draw.oneIn(20) ? 40_000 : draw.below(1_500))
      },
    }).map(([name, move]) => [
      name,
      (draw: Draw): void => {
        this.#stage.draw = draw
        move(draw)
      },
    ]),
  )

  end(draw: Draw): void {
    this.#stage.draw = draw
    this.#stage.ending = true
    this.#letArrive(draw, (attempt) => attempt.complete(draw))
    this.#mustHaveArrived()
    while (this.#asking.length > 0) this.#learn(draw)
    for (const call of this.#calls) call.halfClose()
    this.#letArrive(draw, (attempt) => attempt.finish(draw))
    for (const [i, call] of this.#calls.entries()) {
      must(call.over !== undefined || call.cancelled, `stream ${i} of ${call.asked.length} requests never ended`)
      if (this.#calm && this.#stage.full === 0) this.#mustBeWell(call)
    }
    this.#stage.mustBeClean()
    this.#counts.frames += this.#stage.frames
  }

  #letArrive(draw: Draw, act: (attempt: SeveralAttempt) => void): void {
    for (let round = 0; ; round++) {
      must(round < ROUNDS_MAX, 'bytes move for ever')
      for (const call of this.#calls) call.release()
      for (const attempt of this.#attempts) {
        attempt.release()
        act(attempt)
      }
      if (this.#stage.flowAll(draw) === 0) return
    }
  }

  /** Whole answers of decoupled models wait for nobody; others for those that were asked before and have not been answered. */
  #mustHaveArrived(): void {
    for (const { by, asked, number } of this.#said.values()) {
      const call = this.#calls.find((one) => one.asked.includes(asked))
      if (
        call === undefined ||
        call.over !== undefined ||
        call.cancelled ||
        by.over ||
        asked.attempts.some((one) => one !== by && !one.over)
      )
        continue
      const owing = by.decoupled ? undefined : call.asked.slice(0, asked.index).find((one) => one.kind !== 'decoupled' && isOwed(one))
      must(owing !== undefined || asked.kind === 'late', `answer ${number} to request ${asked.index} of ${asked.model} waits for nobody`)
    }
  }

  /** Without a fault anywhere. */
  #mustBeWell(call: SeveralCall): void {
    if (call.cancelled) return
    must(call.over?.status === 0, `a stream ends with ${call.over?.status}, and nothing went wrong`)
    for (const { id, model, kind, errors } of call.asked)
      must(errors === (kind === 'refused' ? 1 : 0), `${errors} errors for ${id} of ${model}`)
    const owners = new Map<string, string>()
    for (const { sequence, model, attempts } of call.asked) {
      const server = attempts[0]?.server
      if (sequence === '' || server === undefined) continue
      const key = `${model} ${sequence}`
      must((owners.get(key) ?? server) === server, `sequence ${key} went to ${owners.get(key)} and to ${server}`)
      owners.set(key, server)
    }
  }

  #call(draw: Draw): void {
    const { client } = this.#stage
    const running = this.#calls.filter((call) => call.over === undefined && !call.cancelled).length
    if (running >= CALLS_MAX || !client.canOpen) return
    this.#counts.streams++
    this.#calls.push(new SeveralCall(this.#calls.length, (fields) => client.open(fields, false), this.#said, draw))
  }

  #serve(server: string, stream: Stream, fields: readonly HeaderField[], endStream: boolean): void {
    const call = this.#calls[Number(fields.find(({ name }) => name === 'x-call')?.text)]
    must(call !== undefined, 'a server is asked what no client asked')
    const attempt = new SeveralAttempt(`t${this.#attempts.length}`, server, call, stream, this.#said, this.#stage.draw)
    this.#attempts.push(attempt)
    if (endStream) attempt.hearEnd()
  }

  #kindOf(model: string, tell: (kind: AnswerKind) => void): AnswerKind {
    const kind = MODELS[model]
    if (kind === 'in-order' || kind === 'decoupled') return kind
    this.#asking.push(tell)
    return 'asking'
  }

  #learn(draw: Draw): void {
    const some = this.#asking
    this.#asking = []
    for (const tell of some) tell(draw.pick(['in-order', 'decoupled']))
  }

  #fail(draw: Draw): void {
    const attempt = pick(draw, this.#attempts, ({ over }) => !over)
    if (attempt === undefined) return
    this.#calm = false
    attempt.fail(draw)
  }
}

/** Somebody may still say something to it: a server that has not ended, or of a sequence one that has not answered. */
function isOwed({ sequence, ends, kind, attempts, answers, errors }: Asked): boolean {
  if (attempts.length === 0) return errors === 0
  return sequence === '' || ends || kind === 'late' ? attempts.some(({ over }) => !over) : answers + errors === 0
}

function pick<T>(draw: Draw, list: readonly T[], fits: (one: T) => boolean): T | undefined {
  const some = list.filter(fits)
  return some.length === 0 ? undefined : draw.pick(some)
}

export const severalTarget: Target = {
  name: 'several',
  about: 'several requests in one client stream: orders of answers, sequences, errors of one, retries, slow readers',
  stepsMax: 200,
  weights: {
    ...{ call: 3, send: 30, close: 1.5, cancel: 0.5, answer: 25, finish: 6, learn: 1, release: 5 },
    ...{ up: 30, down: 30, fail: 0.4, lose: 0.1, retire: 0.1, pass: 0.15 },
  },
  start: (draw, counts) => new SeveralPlay(draw, counts),
}
