import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, onTestFinished, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { SuspectTrier, tryConnection } from './try-suspects.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

async function listen(where: number | string = 0): Promise<Server> {
  const server = createServer((socket) => socket.destroy())
  servers.push(server)
  if (typeof where === 'number') server.listen(where, '127.0.0.1')
  else server.listen(where)
  await once(server, 'listening')
  return server
}
const portOf = (server: Server): number => (server.address() as AddressInfo).port

test('a connection that opens, by address and by path', async () => {
  expect(await tryConnection(`127.0.0.1:${portOf(await listen())}`)).toEqual({ open: true })
  const folder = mkdtempSync(join(tmpdir(), 'millrace-suspect-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'server.sock')
  await listen(path)
  expect(await tryConnection(`unix:${path}`)).toEqual({ open: true })
})

test.each([
  ['nobody listens', '127.0.0.1:1', 'ECONNREFUSED'],
  ['nobody listens on v6', '[::1]:1', /ECONNREFUSED|EADDRNOTAVAIL|ENETUNREACH/],
  ['a port that there cannot be', '127.0.0.1:70000', 'has no port'],
  ['a path that is not there', 'unix:/nowhere/at/all.sock', 'ENOENT'],
])('%s', async (_name, address, words) => {
  expect(await tryConnection(address)).toEqual({ open: false, reason: expect.stringMatching(words) })
})

test('many are asked, few at once, each once', async () => {
  const server = await listen()
  const asked = 3 * limits.suspectConnectsAtOnce
  const answered: string[] = []
  const { promise, resolve } = Promise.withResolvers<void>()
  const trier = new SuspectTrier((endpoint, _address, { open }) => {
    answered.push(`${endpoint} ${open}`)
    if (answered.length === asked) resolve()
  })
  for (let at = 0; at < asked; at++) trier.ask(`n${at}`, `127.0.0.1:${portOf(server)}`)
  await promise
  expect(new Set(answered)).toEqual(new Set(Array.from({ length: asked }, (_, at) => `n${at} true`)))
})
