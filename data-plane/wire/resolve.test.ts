import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import { type Ask, Names, nameIn, type Resolved } from './resolve.ts'

const PERIOD = millis(30_000)

/** Names over a source that answers what the test says, on a clock that the test turns. */
function stage(answers: Record<string, readonly string[] | Error>, ttl?: Millis) {
  let now = 0
  const asked: [string, number][] = []
  const ask: Ask = async (host): Promise<Resolved> => {
    asked.push([host, now])
    const answer = answers[host] ?? new Error(`no ${host}`)
    if (answer instanceof Error) throw answer
    return { addresses: answer, ...(ttl !== undefined && { ttl }) }
  }
  const names = new Names({ ask, now: () => millis(now), draw: () => 0.5, period: PERIOD })
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return {
    names,
    asked,
    settle,
    /** Ticks every second. */
    async pass(ms: number): Promise<void> {
      for (const until = now + ms; now < until; ) {
        now += 1_000
        names.tick(millis(now))
        await settle()
      }
    },
    times: (): number[] => asked.map(([, at]) => at),
  }
}

test('a name is looked up once for all who watch it, and again when its period is over', async () => {
  const play = stage({ 'gpu.local': ['10.0.0.1', '10.0.0.2'] })
  const watches = [1, 2, 3].map(() => play.names.watch('gpu.local', () => {}))
  await play.settle()
  expect(watches.map(({ addresses }) => addresses)).toEqual(Array(3).fill(['10.0.0.1', '10.0.0.2']))
  await play.pass(61_000)
  expect(play.times()).toEqual([0, 30_000, 60_000])
})

test('a time to live is kept to, within bounds', async () => {
  for (const [ttl, wanted] of [
    [5_000, 5_000],
    [0, limits.dnsAgainMin],
    [9e9, limits.dnsAgainMax],
  ] as const) {
    const play = stage({ a: ['10.0.0.1'] }, millis(ttl))
    play.names.watch('a', () => {})
    await play.settle()
    await play.pass(limits.dnsAgainMax + 1_000)
    expect(play.times()[1], `ttl ${ttl}`).toBe(wanted)
  }
})

test('who watches hears of other addresses, not of the same in another order', async () => {
  const answers: Record<string, readonly string[]> = { a: ['10.0.0.1', '10.0.0.2'] }
  const play = stage(answers)
  const heard: string[] = []
  const watch = play.names.watch('a', () => heard.push(watch.addresses.join()))
  await play.settle()
  answers.a = ['10.0.0.2', '10.0.0.1']
  await play.pass(31_000)
  answers.a = ['10.0.0.2', '10.0.0.3', '10.0.0.3']
  await play.pass(31_000)
  expect(heard).toEqual(['10.0.0.1,10.0.0.2', '10.0.0.2,10.0.0.3'])
})

test('a look-up that fails, or finds nothing, keeps the last good addresses and is tried again sooner', async () => {
  const answers: Record<string, readonly string[] | Error> = { a: ['10.0.0.1'] }
  const play = stage(answers)
  const watch = play.names.watch('a', () => {})
  await play.settle()
  answers.a = new Error('SERVFAIL')
  await play.pass(40_000)
  expect(watch.addresses).toEqual(['10.0.0.1'])
  expect(play.times()).toEqual([0, 30_000, 31_000, 33_000, 37_000])
  expect(play.names.tally.failures).toBe(4)
  answers.a = []
  await play.pass(60_000)
  expect(watch.addresses).toEqual(['10.0.0.1'])
})

test('a lost connection has the name looked up at once, but not every time', async () => {
  const play = stage({ a: ['10.0.0.1'] })
  const watch = play.names.watch('a', () => {})
  await play.pass(5_000)
  for (let i = 0; i < 10; i++) watch.refresh()
  await play.settle()
  for (let i = 0; i < 10; i++) watch.refresh()
  await play.settle()
  expect(play.times()).toEqual([0, 5_000])
})

test('a name that nobody watches is forgotten, and so many addresses of one are kept', async () => {
  const many = Array.from({ length: 100 }, (_, at) => `10.0.1.${at}`)
  const play = stage({ a: many })
  const watch = play.names.watch('a', () => {})
  await play.settle()
  expect(watch.addresses).toEqual(many.slice(0, limits.addressesPerNameMax))
  watch.close()
  expect(play.names.size).toBe(0)
  await play.pass(100_000)
  expect(play.asked.length).toBe(1)
})

test('a socket is given all addresses, the preferred one first; one that comes before the first answer waits for it', async () => {
  const play = stage({ a: ['10.0.0.1', 'fd00::2', '10.0.0.3'] })
  const watch = play.names.watch('a', () => {})
  const given = (preferred?: string): Promise<unknown> =>
    new Promise((resolve) => watch.lookup(preferred)('a', { all: true }, (error, found) => resolve(error ?? found)))
  expect(await given('fd00::2')).toEqual([
    { address: 'fd00::2', family: 6 },
    { address: '10.0.0.1', family: 4 },
    { address: '10.0.0.3', family: 4 },
  ])
  expect(play.asked.length).toBe(1)
  const unknown = play.names.watch('nobody', () => {})
  expect(await new Promise((resolve) => unknown.lookup(undefined)('nobody', { all: true }, (error) => resolve(error?.message)))).toBe(
    'no nobody',
  )
})

test('so many names are asked for at once', async () => {
  let open = 0
  let most = 0
  const waiting: (() => void)[] = []
  const ask: Ask = (host) => {
    most = Math.max(most, ++open)
    return new Promise((resolve) =>
      waiting.push(() => {
        open--
        resolve({ addresses: [`10.0.0.${host}`] })
      }),
    )
  }
  const names = new Names({ ask, now: () => millis(0), draw: () => 0.5, period: PERIOD })
  const watches = Array.from({ length: 100 }, (_, at) => names.watch(String(at), () => {}))
  while (watches.some(({ addresses }) => addresses.length === 0)) {
    waiting.shift()?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(most).toBe(limits.dnsLookupsAtOnce)
})

test.each([
  ['gpu-a:8001', 'gpu-a'],
  ['127.0.0.1:8001', undefined],
  ['[::1]:8001', undefined],
  ['unix:/run/triton.sock', undefined],
])('the name in %s is %s', (address, name) => {
  expect(nameIn(address)).toBe(name)
})
