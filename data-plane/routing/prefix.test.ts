import { expect, test } from 'vitest'
import { mix } from '../../core/key-hash.ts'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import type { Ask } from './ask.ts'
import { EndpointSlot } from './endpoint-slot.ts'
import { leastWait } from './least-wait.ts'
import type { Policy } from './policy.ts'
import { createPool } from './pool.ts'
import { isNearLeast, prefix } from './prefix.ts'
import { PrefixIndex } from './prefix-index.ts'

const slot = (id: string, weight = 100): EndpointSlot =>
  new EndpointSlot({
    ...{ id, node: id, zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models: ['*'] },
    ...{ weight, state: 'READY', freshness: 'fresh', capacity: 0 },
  })
const slots = (count: number): EndpointSlot[] => Array.from({ length: count }, (_, at) => slot(`gpu-${at}/x`))
const seeded = (seed: number) => () => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}
/** Hashes as those of a prompt: of text `name`, so many blocks, behind `before`. */
const blocks = (name: number, count: number, before: Uint32Array = new Uint32Array(0)): Uint32Array =>
  Uint32Array.from([...before, ...Array.from({ length: count }, (_, at) => mix(name * 1_000 + at + 1))])
const ask = (prompt: Uint32Array | undefined, draw = seeded(1), excluded: readonly EndpointSlot[] = []): Ask => ({
  ...{ now: millis(1), draw, excluded, prompt },
})
const played = () => {
  const index = new PrefixIndex()
  return { index, policy: prefix(leastWait(), index) }
}

test('a prompt goes where its beginning went, the longest match first', () => {
  const { policy } = played()
  const members = slots(8)
  const pool = createPool(members)
  const system = blocks(1, 10)
  const first = policy.choose(pool, ask(system))
  for (let draw = 2; draw < 40; draw++) expect(policy.choose(pool, ask(blocks(draw, 3, system), seeded(draw)))).toBe(first)
  const elsewhere = members.find((one) => one !== first) as EndpointSlot
  const longer = blocks(50, 20, system)
  policy.choose(createPool([elsewhere]), ask(longer))
  expect(policy.choose(pool, ask(longer))).toBe(elsewhere)
  expect(policy.choose(pool, ask(system))).toBeDefined()
})

test('a miss is least load, and so is a request without a prompt', () => {
  const { policy, index } = played()
  const [deep, idle] = slots(2) as [EndpointSlot, EndpointSlot]
  deep.inFlight = 3
  const pool = createPool([deep, idle])
  for (let name = 0; name < 50; name++) expect(policy.choose(pool, ask(blocks(name, 4)))).toBe(idle)
  expect(policy.choose(pool, ask(undefined))).toBe(idle)
  expect(policy.choose(pool, ask(new Uint32Array(0)))).toBe(idle)
  expect(index.tally).toEqual({ warm: 0, busy: 0, cold: 50, recorded: 200, evicted: 0 })
})

test.each<[string, Partial<EndpointSlot>, number, boolean]>([
  ['as idle as the least', {}, 100, true],
  ['four requests more', { inFlight: 4 }, 100, true],
  ['five requests more', { inFlight: 5 }, 100, false],
  ['four held by other workers', { elsewhere: 5 }, 100, false],
  ['twice as fast: what is the same to it', { inFlight: 4 }, 200, true],
  ['a report of a queue', { load: { load: { queueDepth: 3, running: 2 }, sampledAt: millis(1) } }, 100, false],
  ['a report that is old', { load: { load: { queueDepth: 300 }, sampledAt: millis(-9_000) } }, 100, true],
  ['a report that says nothing of it', { load: { load: {}, sampledAt: millis(1) } }, 100, true],
])('in the window or not: %s', (_, state, weight, near) => {
  const one = Object.assign(slot('a', weight), state)
  expect(isNearLeast(one, slot('b'), millis(1))).toBe(near)
})

test('where much is held, a quarter above the least is near, by rate', () => {
  const least = Object.assign(slot('a'), { inFlight: 40 })
  expect([50, 51].map((inFlight) => isNearLeast(Object.assign(slot('b'), { inFlight }), least, millis(1)))).toEqual([true, false])
  expect([100, 101].map((inFlight) => isNearLeast(Object.assign(slot('b', 200), { inFlight }), least, millis(1)))).toEqual([true, false])
})

test('a hundred conversations: most requests are warm, nobody is chosen outside the window, and all endpoints work', () => {
  const index = new PrefixIndex()
  let least = slot('nobody')
  const usual = leastWait()
  const watched: Policy = {
    ...usual,
    choose(pool, one) {
      least = usual.choose(pool, one)
      return least
    },
  }
  const policy = prefix(watched, index)
  const members = slots(10)
  const pool = createPool(members)
  const draw = seeded(7)
  const held: EndpointSlot[] = []
  const talks = Array.from({ length: 100 }, (_, name) => blocks(name, 4, blocks(9_000 + (name % 5), 8)))
  for (let step = 0; step < 5_000; step++) {
    while (held.length > 120) {
      const [ended] = held.splice(Math.floor(draw() * held.length), 1)
      if (ended !== undefined) ended.inFlight--
    }
    const at = Math.floor(draw() ** 3 * talks.length)
    const talk = talks[at] as Uint32Array
    const chosen = policy.choose(pool, ask(talk, draw))
    expect(chosen.inFlight).toBeLessThanOrEqual(Math.max(least.inFlight + 4, 1.25 * least.inFlight))
    chosen.inFlight++
    held.push(chosen)
    if (talk.length < limits.promptBlocksMax) talks[at] = blocks(step + 100_000, 2, talk)
  }
  const { warm, busy, cold } = index.tally
  expect(warm / (warm + busy + cold)).toBeGreaterThan(0.8)
  const most = Math.max(...members.map(({ inFlight }) => inFlight))
  expect(most).toBeLessThan(2 * (held.length / members.length))
})

test('a hot prompt spreads: the one that has it is left when it is too busy, and the next has it too from then on', () => {
  const { policy } = played()
  const members = slots(6)
  const pool = createPool(members)
  const draw = seeded(3)
  const hot = blocks(1, 30)
  for (let step = 0; step < 300; step++) policy.choose(pool, ask(hot, draw)).inFlight++
  for (const one of members) expect(one.inFlight).toBeLessThanOrEqual((300 / 6) * 1.5)
})

test('what was tried, what serves in another tier, has left or lost its server is not chosen for its warmth', () => {
  const { policy } = played()
  const members = slots(4)
  const pool = createPool(members)
  const prompt = blocks(1, 10)
  const warm = policy.choose(pool, ask(prompt))
  const others = createPool(members.filter((one) => one !== warm))
  expect(policy.choose(others, ask(prompt, seeded(1), [warm]))).not.toBe(warm)
  const { policy: fresh, index } = played()
  index.record(warm, prompt)
  warm.endpoint = { ...warm.endpoint, state: 'BUSY' }
  expect(fresh.choose(others, ask(prompt))).not.toBe(warm)
  warm.endpoint = { ...warm.endpoint, state: 'READY' }
  expect(index.longest(prompt, 8)).toContain(warm)
  warm.lives++
  expect(index.longest(prompt, 8)).not.toContain(warm)
  index.record(warm, prompt)
  expect(index.longest(prompt, 8)).toContain(warm)
  warm.gone = true
  expect(index.longest(prompt, 8)).not.toContain(warm)
})

test('of one endpoint so many blocks count as its server may hold: the oldest are forgotten, what is asked again stays', () => {
  const index = new PrefixIndex()
  const one = slot('a')
  const [kept, old] = [blocks(1, 5), blocks(2, 5)]
  index.record(one, kept)
  index.record(one, old)
  const prompts = Math.ceil(limits.prefixBlocksPerEndpointMax / 64)
  for (let name = 3; name < 3 + prompts; name++) {
    index.record(one, blocks(name, 64))
    index.record(one, kept)
  }
  expect([index.longest(kept, 1), index.longest(old, 1)]).toEqual([[one], []])
})

test('the table is bounded: under a flood of prompts it keeps the newest, and counts what it drops', () => {
  const index = new PrefixIndex()
  const members = slots(64)
  for (let name = 0; name < 6_000; name++) index.record(members[name % 64] as EndpointSlot, blocks(name, 100))
  expect(index.tally.recorded).toBe(600_000)
  expect(index.tally.evicted).toBeGreaterThan(250_000)
  expect(index.longest(blocks(5_999, 100), 1)).toEqual([members[5_999 % 64]])
})
