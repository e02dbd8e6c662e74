import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { headerField } from '../http2/header-field.ts'
import { SETTING, WINDOW_DEFAULT, WINDOW_MAX } from '../http2/protocol.ts'
import { newShared, REQUEST, Side } from '../testing/side.ts'
import { Flusher, SocketLink } from './socket-link.ts'

/** A socket that takes what it is given at once, as a kernel with room does, unless it is told to be slow. */
class StandInSocket extends Duplex {
  taken: Buffer[] = []
  slow = false
  #owed: (() => void) | undefined

  setNoDelay(): this {
    return this
  }
  destroySoon(): void {
    this.destroy()
  }
  override _read(): void {}
  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.taken.push(Buffer.from(bytes))
    if (this.slow) this.#owed = done
    else done()
  }
  takesAgain(): void {
    this.slow = false
    const owed = this.#owed
    this.#owed = undefined
    owed?.()
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A client with the largest windows, linked to a server side on a stand-in socket. */
async function linked() {
  const socket = new StandInSocket()
  const server = new Side('server')
  const closed: string[] = []
  const link = new SocketLink(
    socket as unknown as Socket,
    'server',
    {
      ...server,
      onRequest: server.onRequest.bind(server),
      onBadRequest: () => {},
      onCapacity: () => {},
      onClosed: (_, cause) => void closed.push(cause),
    },
    new Flusher(),
    newShared(),
  )
  const client = new Side('client')
  const give = (): void => {
    const bytes = client.take()
    link.take(bytes, bytes.length)
    bytes.fill(0xee) // a read buffer is used again
  }
  /** Moves bytes until the server has nothing more to say. */
  const settled = async (): Promise<void> => {
    for (let idle = 0; idle < 3; ) {
      await turn()
      const came = socket.taken
      socket.taken = []
      idle = came.length === 0 ? idle + 1 : 0
      for (const bytes of came) client.connection.receive(bytes, bytes.length)
      give()
    }
  }
  client.connection.output.settings([[SETTING.INITIAL_WINDOW_SIZE, WINDOW_MAX]])
  client.connection.output.windowUpdate(0, WINDOW_MAX - limits.connectionWindow - WINDOW_DEFAULT)
  const stream = client.connection.open(REQUEST, true)
  stream.sink = client.sink
  stream.receiveWindow = WINDOW_MAX
  client.hold = true
  await settled()
  return { socket, server, link, client, stream, closed, settled, give }
}

test('what waits behind a socket that was busy leaves whole, also when the socket then takes everything at once', async () => {
  const { socket, server, client, stream, settled } = await linked()
  socket.slow = true
  const answer = server.requests[0]
  answer?.sendHead([headerField(':status', '200')], false)
  await turn()
  const body = new Uint8Array(20 * limits.socketBacklogMax).map((_, i) => i * 31)
  answer?.sendData(body, 0, body.length, true)
  await turn()
  expect(answer?.waitingBytes).toBeGreaterThan(0)
  socket.takesAgain()
  await settled()
  expect(Buffer.compare(client.bytes.get(stream) ?? Buffer.alloc(0), body)).toBe(0)
  expect(client.heard.at(-1)).toBe('1 end')
})

test('a message larger than the backlog leaves whole through a socket that is never busy', async () => {
  const { server, client, stream, settled } = await linked()
  const body = new Uint8Array(20 * limits.socketBacklogMax).map((_, i) => i * 31)
  server.requests[0]?.sendHead([headerField(':status', '200')], false)
  server.requests[0]?.sendData(body, 0, body.length, true)
  await settled()
  expect(Buffer.compare(client.bytes.get(stream) ?? Buffer.alloc(0), body)).toBe(0)
})

test('a peer may ping as often as it likes in a long life, as long as it takes the answers', async () => {
  const { client, link, settled } = await linked()
  for (let round = 0; round < 5; round++) {
    for (let i = 0; i < limits.controlFramesQueuedMax / 2; i++) client.connection.output.ping(new Uint8Array(8), 0, false)
    await settled()
    for (let second = 0; second * limits.cheapFramesPerSecond < limits.controlFramesQueuedMax / 2; second++) link.everySecond()
  }
  expect(link.connection.dead).toBe(false)
})

test('many requests in one read are begun over several turns, in order and whole, and what comes meanwhile waits behind them', async () => {
  const { server, client, link, socket, give } = await linked()
  const bodies = Array.from({ length: 5 * limits.streamsPerTurn }, (_, i) => Uint8Array.of(i, i >> 8, 7))
  const ask = (from: number, to: number): void => {
    for (const body of bodies.slice(from, to)) client.connection.open(REQUEST, false).sendData(body, 0, body.length, true)
    give()
  }
  let resumed = 0
  socket.resume = () => {
    resumed++
    return socket
  }
  const earlier = server.requests.length
  ask(0, 4 * limits.streamsPerTurn)
  ask(4 * limits.streamsPerTurn, bodies.length)
  const begun = [server.requests.length - earlier]
  while (link.behind) {
    expect(resumed).toBe(0)
    await turn()
    begun.push(server.requests.length - earlier)
  }
  expect(begun).toEqual([1, 2, 3, 4, 5, 5].map((turns) => turns * limits.streamsPerTurn))
  expect(server.requests.slice(earlier).map((request) => server.bytes.get(request))).toEqual(bodies)
  expect(resumed).toBe(1)
})

test('a connection that is lost while requests wait for their turn begins none of them', async () => {
  const { server, client, link, socket, give } = await linked()
  for (let i = 0; i < 2 * limits.streamsPerTurn; i++) client.connection.open(REQUEST, true)
  const earlier = server.requests.length
  give()
  socket.destroy()
  while (link.behind) await turn()
  expect(server.requests.length - earlier).toBe(limits.streamsPerTurn)
})

test('the loss of a connection reaches its streams over several turns, each once, and the owner behind the last', async () => {
  const { server, client, link, socket, closed, settled } = await linked()
  for (let i = 0; i < 2 * limits.streamsPerTurn; i++) client.connection.open(REQUEST, false)
  await settled()
  const lost = (): number => server.heard.filter((word) => word.includes('lost')).length
  const open = link.connection.streams.size
  socket.destroy()
  const told: number[] = []
  while (closed.length === 0) {
    await turn()
    told.push(lost())
  }
  expect(open).toBeGreaterThan(2 * limits.streamsPerTurn)
  expect(Math.max(...told.map((count, at) => count - (told[at - 1] ?? 0)))).toBe(limits.streamsPerTurn)
  expect(lost()).toBe(open)
  expect(closed).toEqual(['broken'])
})
