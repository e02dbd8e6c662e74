/**
 * Planned exchanges between our engine, behind its socket link, and node:http2 in both roles; or, as target `link`, between two of ours. Sockets take
 * bytes late and hand them on cut anywhere. Heads, bytes, trailers and ends must come as planned; nothing may stall or be kept.
 */

import type { Draw } from './draw.ts'
import { EngineEnd } from './engine-ends.ts'
import { Plan } from './exchange-plan.ts'
import { NodeClient, NodeServer } from './node-ends.ts'
import { newShared } from './pipe.ts'
import { nextTurn, SlowSocket } from './slow-socket.ts'
import { type Counts, must, type Play, type Target } from './target.ts'

/** Turns of the event loop in which nothing moves, and something should. */
const IDLE_TURNS_MAX = 300

type Mode = 'node-client' | 'node-server' | 'ours'

class DifferentialPlay implements Play {
  readonly #counts: Counts
  readonly #plans: Plan[] = []
  readonly #shared = newShared()
  readonly #farShared = newShared()
  readonly #budget = this.#shared.windowBudget.left
  readonly #sockets: readonly [SlowSocket, SlowSocket]
  readonly #ends: readonly EngineEnd[]
  readonly #node: NodeClient | NodeServer | undefined
  readonly #ask: (plan: Plan) => void
  readonly #waiting: Plan[] = []
  #fault: Error | undefined

  constructor(mode: Mode, draw: Draw, counts: Counts) {
    this.#counts = counts
    const [near, far] = SlowSocket.pair(draw)
    this.#sockets = [near, far]
    const onFault = (error: Error): void => {
      this.#fault ??= error
    }
    const plans = this.#plans
    if (mode === 'node-client') {
      const client = new NodeClient(far, draw, onFault)
      this.#ends = [new EngineEnd(near, 'server', plans, this.#shared, draw, onFault)]
      this.#ask = (plan) => client.ask(plan)
      this.#node = client
      return
    }
    const client = new EngineEnd(near, 'client', plans, this.#shared, draw, onFault)
    this.#ask = (plan) => void this.#waiting.push(plan)
    this.#node = mode === 'node-server' ? new NodeServer(far, plans, draw, onFault) : undefined
    this.#ends = mode === 'ours' ? [client, new EngineEnd(far, 'server', plans, this.#farShared, draw, onFault)] : [client]
  }

  readonly moves = {
    exchange: (draw: Draw) => {
      const plan = new Plan(this.#plans.length, draw)
      this.#plans.push(plan)
      this.#counts.streams++
      this.#counts.bytes += [...plan.request.pieces, ...plan.answer.pieces].reduce((sum, piece) => sum + piece.length, 0)
      this.#ask(plan)
      this.#askWaiting()
    },
    settings: (draw: Draw) => {
      const session = this.#node?.session
      if (session !== undefined && !session.destroyed && !session.closed && !session.connecting)
        session.settings({ initialWindowSize: draw.pick([5_000, 20_000, 65_535, 1 << 18]) })
    },
    release: () => this.#release(),
    turns: async (draw: Draw) => {
      for (let i = draw.between(1, 8); i > 0; i--) await this.#turn()
    },
  }

  async end(draw: Draw): Promise<void> {
    let moved = -1
    const patience = draw.pick([1, 3, 20])
    for (let idle = 0; this.#plans.some((plan) => !plan.done) || this.#ends.some((end) => !end.idle); ) {
      await this.#turn()
      // Readers that let go only once nothing else moves are those that use up a window.
      if (idle % patience === patience - 1) this.#release()
      const now = this.#progress
      idle = now === moved ? idle + 1 : 0
      moved = now
      must(idle < IDLE_TURNS_MAX, `stalled: ${this.#plans.filter((plan) => !plan.done).length} exchanges are not done`)
    }
    for (const shared of [this.#shared, this.#farShared]) {
      must(shared.tally.queuedBytes === 0, `${shared.tally.queuedBytes} bytes still count as queued`)
      must(shared.windowBudget.left === this.#budget, 'windows never came back')
      this.#counts.frames += shared.tally.framesIn
    }
    this.abandon()
    await nextTurn()
    must(this.#fault === undefined, String(this.#fault))
  }

  abandon(): void {
    this.#node?.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #release(): void {
    for (const end of this.#ends) end.release()
    this.#node?.release()
  }

  /** What was handed to a slow reader counts: node gives it what lies ready chunk by chunk, long after the sockets are silent. */
  get #progress(): number {
    return this.#plans.reduce((sum, plan) => sum + plan.received, this.#sockets[0].moved + this.#sockets[1].moved)
  }

  #askWaiting(): void {
    const [client] = this.#ends
    while (this.#waiting.length > 0 && client?.mayAsk) client.ask(this.#waiting.shift() as Plan)
  }

  async #turn(): Promise<void> {
    await nextTurn()
    this.#askWaiting()
    if (this.#fault !== undefined) throw this.#fault
  }
}

const WEIGHTS = { exchange: 10, settings: 1, release: 2, turns: 8 }

export const differentialTarget: Target = {
  name: 'differential',
  about: 'random exchanges between our engine and node:http2, which is the client or the server',
  stepsMax: 40,
  weights: WEIGHTS,
  start: (draw, counts) => new DifferentialPlay(draw.oneIn(2) ? 'node-client' : 'node-server', draw, counts),
}

export const linkTarget: Target = {
  name: 'link',
  about: 'random exchanges between two of our ends, on sockets that take bytes late or bit by bit',
  stepsMax: 40,
  weights: WEIGHTS,
  start: (draw, counts) => new DifferentialPlay('ours', draw, counts),
}
