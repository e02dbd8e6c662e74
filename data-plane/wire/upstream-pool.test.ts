/** One pool against servers on real sockets, on a clock that the test turns. */
import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { Endpoint } from '../../core/mesh-snapshot.ts'
import { type Millis, millis } from '../../core/units.ts'
import { freePorts } from '../../test/tools/free-ports.ts'
import { ERROR, FRAME, RawPeer, SETTING } from '../../test/tools/raw-h2.ts'
import type { Connection } from '../http2/connection.ts'
import type { Stream } from '../http2/stream.ts'
import type { LifeRules } from '../routing/connection-life.ts'
import { EndpointSlot } from '../routing/endpoint-slot.ts'
import { newShared, REQUEST, Side } from '../testing/side.ts'
import { Names } from './resolve.ts'
import { Flusher } from './socket-link.ts'
import { TlsContexts } from './tls-upstream.ts'
import { UpstreamPool } from './upstream-pool.ts'

const S = 1_000
const RULES: LifeRules = {
  askAfter: millis(20 * S),
  askAgainAfter: limits.keepaliveAgain,
  answerWithin: millis(20 * S),
  settingsWithin: limits.settingsTimeout,
  idleMax: millis(600 * S),
  ageMax: millis(0),
  retireGrace: millis(2 * S),
}

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const one of cleanups.splice(0)) one()
})

type Back = { readonly port: number; readonly server: Server; readonly peers: RawPeer[] }

/** A server on every loopback address, which greets with its SETTINGS. */
async function back(settings: Readonly<Record<number, number>> = {}): Promise<Back> {
  const peers: RawPeer[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    const peer = new RawPeer(socket, 'server')
    peers.push(peer)
    peer.settings(settings)
  })
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return { port: address !== null && typeof address === 'object' ? address.port : 0, server, peers }
}

function stage(address: string, rules: Partial<LifeRules> = {}, answers: { addresses: readonly string[] } = { addresses: [] }) {
  let now = 0
  const clock = (): Millis => millis(now)
  const endpoint: Endpoint = {
    ...{ id: 'a', node: 'a', zone: '', address, protocol: 'KSERVE_GRPC', models: ['*'] },
    ...{ weight: 100, state: 'READY', freshness: 'fresh', capacity: 0 },
  }
  const slot = new EndpointSlot(endpoint)
  const names = new Names({ ask: async () => answers, now: clock, draw: () => 0.5, period: millis(30 * S) })
  const ejections: string[] = []
  const pool = new UpstreamPool(slot, {
    ...{ flusher: new Flusher(), shared: newShared(), names, rules: { ...RULES, ...rules } },
    contexts: new TlsContexts((complaint) => ejections.push(complaint)),
    usualTls: () => undefined,
    ...{ now: clock, draw: () => 0.5, onEjection: (_slot, detail) => ejections.push(detail) },
  })
  cleanups.push(() => pool.close())
  const side = new Side('client')
  return {
    pool,
    slot,
    ejections,
    lookups: (): number => names.tally.lookups,
    open: (): Stream => {
      const connection = pool.open()
      if (connection === undefined) throw new Error('no connection has room')
      const stream = connection.open(REQUEST, true)
      stream.sink = side.sink
      return stream
    },
    side,
    pass(ms: number): void {
      for (const until = now + ms; now < until; ) {
        now += S
        names.tick(clock())
        pool.tick(clock())
      }
    },
  }
}

const poll = (holds: () => unknown) => expect.poll(holds, { timeout: 20_000, interval: 5 })
const settled = (...connections: (Connection | undefined)[]) => poll(() => connections.every((one) => one?.settled)).toBe(true)
const connectionOf = (stream: Stream): Connection => stream.connection as unknown as Connection
test('a connection that fills up has the next one opened ahead, and no connection carries more than its server allows', async () => {
  const server = await back({ [SETTING.MAX_CONCURRENT_STREAMS]: 4 })
  const play = stage(`127.0.0.1:${server.port}`)
  const first = connectionOf(play.open())
  await settled(first)
  for (let i = 0; i < 3; i++) expect(connectionOf(play.open())).toBe(first)
  expect(play.pool.connections, 'the fourth stream found three').toBe(2)
  await poll(() => server.peers.length).toBe(2)
  const second = connectionOf(play.open())
  await settled(second)
  expect(second).not.toBe(first)
  for (let i = 0; i < 100; i++) {
    const connection = play.pool.open()
    if (connection === undefined) break
    connection.open(REQUEST, true).sink = play.side.sink
    await settled(connection)
  }
  expect(play.pool.connections).toBe(limits.upstreamConnectionsMax)
  await poll(() => server.peers.length).toBe(limits.upstreamConnectionsMax)
  expect(play.pool.open(), 'all are full').toBeUndefined()
})

test('what a server allows is remembered: the next connection is not overfilled before it is greeted', async () => {
  const server = await back({ [SETTING.MAX_CONCURRENT_STREAMS]: 2 })
  const play = stage(`127.0.0.1:${server.port}`)
  await settled(connectionOf(play.open()))
  play.open()
  const others = [play.open(), play.open(), play.open()].map(connectionOf)
  expect(new Set(others).size).toBe(2)
})

test('a connection is retired by its stream ids, without harm to what runs on it', async () => {
  const server = await back()
  const play = stage(`127.0.0.1:${server.port}`)
  const first = connectionOf(play.open())
  first.streamIdMax = 7
  for (let i = 0; i < 2; i++) expect(connectionOf(play.open())).toBe(first)
  const next = connectionOf(play.open())
  expect([first.retiring, next === first, first.streams.size]).toEqual([true, false, 3])
  await poll(() => server.peers.length).toBe(2)
  for (const stream of [...first.streams.values()]) stream.reset(ERROR.CANCEL)
  await server.peers[0]?.closed
  expect(play.ejections).toEqual([])
})

test('every address of a name has a connection, streams go to all, and an address that the name lost finishes its streams', async () => {
  const server = await back()
  const answers = { addresses: ['127.0.0.1', '127.0.0.2', '127.0.0.3'] }
  const play = stage(`gpu.test:${server.port}`, { askAfter: millis(0) }, answers)
  play.open()
  const localOf = (): string[] => server.peers.filter(({ socket }) => !socket.destroyed).map(({ socket }) => socket.localAddress ?? '')
  await poll(() => localOf().sort().join()).toBe('127.0.0.1,127.0.0.2,127.0.0.3')
  await Promise.all(server.peers.map((peer) => peer.barrier()))
  for (let i = 0; i < 60; i++) play.open()
  const streams = (): number[] => server.peers.map((peer) => peer.frames.filter((frame) => frame.type === FRAME.HEADERS).length)
  await poll(() => streams().reduce((sum, one) => sum + one, 0)).toBe(61)
  expect(Math.min(...streams())).toBeGreaterThan(5)
  answers.addresses = ['127.0.0.1', '127.0.0.2']
  play.pass(40 * S)
  const lost = server.peers.find(({ socket }) => socket.localAddress === '127.0.0.3') as RawPeer
  await poll(() => play.lookups()).toBe(2)
  const before = streams()[server.peers.indexOf(lost)]
  for (let i = 0; i < 30; i++) play.open()
  await poll(() => streams().reduce((sum, one) => sum + one, 0)).toBe(91)
  expect(streams()[server.peers.indexOf(lost)], 'nothing new goes there').toBe(before)
  for (const frame of lost.frames.filter((one) => one.type === FRAME.HEADERS)) lost.headers(frame.id, [[':status', '200']], true)
  await lost.closed
  expect(play.ejections).toEqual([])
})

test('an address of several that does not answer harms nobody', async () => {
  const server = createServer((socket) => new RawPeer(socket, 'server').settings())
  // On 127.0.0.1 nobody is to listen on it.
  const [port = 0] = await freePorts(1)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.2', resolve))
  cleanups.push(() => server.close())
  const play = stage(`gpu.test:${port}`, {}, { addresses: ['127.0.0.1', '127.0.0.2'] })
  const connection = connectionOf(play.open())
  await settled(connection)
  for (let i = 0; i < 20; i++) play.open()
  play.pass(5 * S)
  await poll(() => play.pool.connections).toBeGreaterThan(0)
  expect(play.side.heard).toEqual([])
  expect(play.ejections).toEqual([])
})

test('a server that falls silent is given up: its streams are lost, it is ejected, and it is back once it greets again', async () => {
  const server = await back()
  const play = stage(`127.0.0.1:${server.port}`)
  await settled(connectionOf(play.open()))
  const [peer] = server.peers as [RawPeer]
  await peer.barrier()
  peer.socket.pause()
  play.pass(42 * S)
  await poll(() => play.side.heard.join()).toBe('1 lost broken')
  await poll(() => play.ejections).toEqual(['the server does not answer', ''])
  expect([play.slot.ejected, play.pool.connections]).toEqual([false, 1])
  expect(connectionOf(play.open()).settled, 'the connection that brought it back carries the next stream').toBe(true)
})

test('a server that accepts and says nothing is given up, and is not called back', async () => {
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket.on('error', () => {})))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  const play = stage(`127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`)
  play.open()
  await poll(() => sockets.length).toBe(1)
  play.pass(11 * S)
  await poll(() => play.ejections).toEqual(['the server sent no SETTINGS'])
  await poll(() => sockets.length).toBe(2)
  expect(play.slot.ejected).toBe(true)
})

test('who complains of pings is asked half as often', async () => {
  const server = await back()
  const play = stage(`127.0.0.1:${server.port}`, { askAgainAfter: millis(30 * S) })
  await settled(connectionOf(play.open()))
  const countIn = async (stream: Stream, seconds: number): Promise<number> => {
    const connection = connectionOf(stream)
    const ping = vi.spyOn(connection, 'ping')
    for (let i = 0; i < seconds; i += 10) {
      const [asked, reads] = [ping.mock.calls.length, connection.reads]
      play.pass(10 * S)
      if (ping.mock.calls.length > asked) await poll(() => connection.reads).not.toBe(reads)
    }
    return ping.mock.calls.length
  }
  let stream = play.open()
  const usual = await countIn(stream, 300)
  server.peers[0]?.goaway(2 ** 31 - 1, ERROR.ENHANCE_YOUR_CALM)
  await poll(() => connectionOf(stream).retiring).toBe(true)
  stream = play.open()
  await settled(connectionOf(stream))
  const calmed = await countIn(stream, 300)
  expect([usual, calmed]).toEqual([10, 5])
  expect(play.ejections).toEqual([])
})

test('an idle connection closes and an old one is replaced before it goes; neither is held against the server', async () => {
  const server = await back()
  const idle = stage(`127.0.0.1:${server.port}`, { idleMax: millis(5 * S) })
  await new Promise<void>((resolve) => idle.pool.warm(resolve))
  expect(idle.pool.connections).toBe(1)
  idle.pass(7 * S)
  await poll(() => idle.pool.connections).toBe(0)
  expect(idle.ejections).toEqual([])
  const old = stage(`127.0.0.1:${server.port}`, { ageMax: millis(10 * S) })
  const stream = old.open()
  await settled(connectionOf(stream))
  old.pass(10 * S)
  expect(old.pool.connections, 'its successor').toBe(2)
  await poll(() => server.peers.at(-1)?.frames.length).toBeGreaterThan(0)
  old.pass(3 * S)
  expect([connectionOf(stream).retiring, stream.closed]).toEqual([true, false])
  expect(connectionOf(old.open())).not.toBe(connectionOf(stream))
  stream.reset(ERROR.CANCEL)
  await poll(() => old.pool.connections).toBe(1)
  expect(old.ejections).toEqual([])
})
