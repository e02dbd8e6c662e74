import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import { type HealthLine, healthLine } from './health-line.ts'

const soon = { timeout: 20_000, interval: 10 }

type Fake = { readonly url: string; readonly server: Server; readonly sockets: Set<Socket>; connections: number }

async function startServer(answer: (response: ServerResponse) => void = (response) => void response.end('ok')): Promise<Fake> {
  const server = createServer((_, response) => answer(response))
  const sockets = new Set<Socket>()
  const fake = { url: '', server, sockets, connections: 0 }
  server.on('connection', (socket) => {
    fake.connections++
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => stop(fake))
  return Object.assign(fake, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` })
}

const stop = ({ server, sockets }: Fake): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve())
    for (const socket of sockets) socket.destroy()
  })

function openLine(onLoss: () => void = () => {}): HealthLine & { at: Millis } {
  const clock = { now: () => line.at }
  const line = Object.assign(healthLine(clock, onLoss), { at: millis(0) })
  onTestFinished(() => line.close())
  return line
}

test('questions share one connection, until it is old enough that a fresh one is to prove that the port accepts', async () => {
  const server = await startServer()
  const lost = vi.fn()
  const line = openLine(lost)
  for (let at = 0; at < 4; at++) expect(await line.ask(server.url)).toMatchObject({ kind: 'answer', status: 200 })
  expect([server.connections, line.stands()]).toEqual([1, true])
  line.at = limits.healthConnectionAge
  expect(await line.ask(server.url)).toMatchObject({ kind: 'answer' })
  expect([server.connections, line.stands()]).toEqual([2, true])
  await expect.poll(() => server.sockets.size, soon).toBe(1)
  expect(lost).not.toHaveBeenCalled()
})

test('a connection that the server breaks is news, once', async () => {
  const server = await startServer()
  const lost = vi.fn()
  const line = openLine(lost)
  await line.ask(server.url)
  for (const socket of server.sockets) socket.destroy()
  await expect.poll(() => lost.mock.calls.length, soon).toBe(1)
  expect(line.stands()).toBe(false)
  await line.ask(server.url)
  expect([server.connections, lost.mock.calls.length]).toEqual([2, 1])
})

test('a server that closes after each answer is asked over a fresh connection each time, and that is no news', async () => {
  const server = await startServer((response) => void response.setHeader('connection', 'close').end('ok'))
  const lost = vi.fn()
  const line = openLine(lost)
  for (let at = 0; at < 3; at++) expect(await line.ask(server.url)).toMatchObject({ kind: 'answer' })
  expect([server.connections, line.stands(), lost.mock.calls.length]).toEqual([3, false, 0])
})

test('a kept connection that breaks under a question tells nothing: a fresh one does', async () => {
  let broken = 0
  const server = await startServer((response) => {
    // The second question of a connection is answered by its end.
    const socket = response.socket as Socket & { asked?: boolean }
    if (socket.asked === true) {
      broken++
      socket.destroy()
    } else response.end('ok')
    socket.asked = true
  })
  const line = openLine()
  await line.ask(server.url)
  expect(await line.ask(server.url)).toMatchObject({ kind: 'answer', status: 200 })
  expect(broken).toBe(1)
  await line.ask(server.url)
  await stop(server)
  expect(await line.ask(server.url)).toEqual({ kind: 'refused' })
})

test('a server that stands still is late over a kept connection as over a fresh one', async () => {
  let asked = 0
  const server = await startServer((response) => void (++asked === 1 && response.end('ok')))
  const line = openLine()
  await line.ask(server.url)
  expect(await line.ask(server.url)).toEqual({ kind: 'timeout' })
  expect(line.stands()).toBe(false)
})
