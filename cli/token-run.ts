/**
 * Opens the same streams direct and through a gateway, in turn: each of the `streams` slots goes from one side to the other and half of the slots begin
 * with the other side, so that whatever else the machine does meets both sides alike.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { type StreamCall, type Target, type Timed, TokenClient } from './token-client.ts'

export type TokenPlan = {
  readonly direct: Target
  readonly through: Target
  readonly call: StreamCall
  /** Open at once, both sides together. */
  readonly streams: number
  /** Measured streams of each side in each slot. */
  readonly rounds: number
}

export type TokenTimes = { readonly direct: readonly Timed[]; readonly through: readonly Timed[] }

/** Servers commonly take a hundred streams on a connection; far fewer also keep one loss from holding all. */
const STREAMS_PER_CONNECTION = 32
/** Slots that began together would have their tokens at the same moments and measure one another. */
const STAGGER_MS = 7

export async function timeTokens(plan: TokenPlan, onStream: (done: number, all: number) => void): Promise<TokenTimes> {
  const open: TokenClient[] = []
  const connectAll = async (target: Target): Promise<TokenClient[]> => {
    const clients: TokenClient[] = []
    for (let i = 0; i < Math.ceil(plan.streams / STREAMS_PER_CONNECTION); i++) {
      const client = await TokenClient.connect(target)
      open.push(client)
      clients.push(client)
    }
    return clients
  }
  try {
    const sides = [
      { clients: await connectAll(plan.direct), times: [] as Timed[] },
      { clients: await connectAll(plan.through), times: [] as Timed[] },
    ] as const
    const ask = (side: 0 | 1, slot: number): Promise<Timed> => clientOf(sides[side].clients, slot).stream(plan.call)
    // Unmeasured: the first request on a connection pays for what no later one does. Direct before through, since what fails there fails in both.
    for (const side of [0, 1] as const) await Promise.all(sides[side].clients.map((_, i) => ask(side, i)))
    const all = plan.streams * plan.rounds * 2
    let done = 0
    const runSlot = async (slot: number): Promise<void> => {
      await wait(slot * STAGGER_MS)
      for (let i = 0; i < plan.rounds * 2; i++) {
        const side = (slot + i) % 2 === 0 ? 0 : 1
        sides[side].times.push(await ask(side, slot))
        onStream(++done, all)
      }
    }
    await Promise.all(Array.from({ length: plan.streams }, (_, slot) => runSlot(slot)))
    return { direct: sides[0].times, through: sides[1].times }
  } finally {
    for (const client of open) client.close()
  }
}

function clientOf(clients: readonly TokenClient[], slot: number): TokenClient {
  const client = clients[slot % clients.length]
  if (client === undefined) throw new Error('a side has at least one connection')
  return client
}
