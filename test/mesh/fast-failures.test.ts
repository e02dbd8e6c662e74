/**
 * Three of ten servers fail at once whatever they are sent, each in one way: such a server looks idle, and must neither draw the load nor make the proxy send
 * everything twice. Attempts for each request and the share of the three are told and bounded.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { tell, until } from '../tools/fleet.ts'
import { Load } from '../tools/load.ts'
import { startProxy, type TestProxy } from '../tools/proxy.ts'
import { startSim, type TestSim } from '../tools/sim-server.ts'

const SERVERS = 10
const BAD = 3
const REQUESTS = 1_500
const PER_SECOND = 150
const PATIENCE_MS = 90_000

let sims: readonly TestSim[] = []
beforeAll(async () => {
  const argv = ['--listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0', '--slots', '64', '--prefill-ms', '30', '--token-ms', '10']
  sims = await Promise.all(Array.from({ length: SERVERS }, () => startSim(...argv)))
}, PATIENCE_MS)
afterAll(() => Promise.all(sims.map((sim) => sim.stop())))

const idOf = (at: number): string => `gpu-${at}/sim`

async function attemptsAt(proxy: TestProxy, at: number): Promise<number> {
  return proxy.metric('millrace_endpoint_attempts_total', `endpoint="${idOf(at)}"`)
}

test.each([
  ['UNAVAILABLE', 'queue-full'],
  ['INTERNAL_ERROR on the stream', 'reset'],
  ['REFUSED_STREAM', 'refuse'],
] as const)(
  'three of ten servers that answer with %s cost at most 1.2 attempts a request and draw no more than their share',
  async (_name, mode) => {
    for (const [at, sim] of sims.entries()) await sim.behave(at < BAD ? mode : 'normal', 0)
    const proxy = await startProxy(sims.map(({ listen }, at) => ({ id: idOf(at), address: listen })))
    const load = new Load({ to: proxy.listen, perSecond: PER_SECOND })
    try {
      await until('the requests have ended', () => load.ended().length >= REQUESTS, PATIENCE_MS)
      await load.stop()
      await until('the ledger is empty', async () => (await proxy.metric('millrace_ledger_open_attempts')) === 0, PATIENCE_MS)
      const requests = await proxy.metric('millrace_requests_total')
      const each = (requests + (await proxy.metric('millrace_retries_total'))) / requests
      const attempts = await Promise.all(sims.map((_sim, at) => attemptsAt(proxy, at)))
      const sum = (counts: readonly number[]): number => counts.reduce((total, count) => total + count, 0)
      const share = sum(attempts.slice(0, BAD)) / sum(attempts)
      const failed = load.failed().length / load.sent.length
      tell(
        `${mode}: ${requests} requests, ${each.toFixed(3)} attempts each, ${(share * 100).toFixed(1)} % at the bad three, ${(failed * 100).toFixed(1)} % failed`,
      )
      expect(each).toBeLessThanOrEqual(1.2)
      expect(share).toBeLessThan(BAD / SERVERS)
      expect(failed).toBeLessThan(0.05)
    } finally {
      await load.stop()
      await proxy.stop()
    }
  },
  2 * PATIENCE_MS,
)
