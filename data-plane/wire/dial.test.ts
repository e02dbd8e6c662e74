import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, type LookupFunction, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { dial } from './dial.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const one of cleanups.splice(0)) one()
})

/** A server that says a word to everybody. */
async function greeter(where: { host: string; port: number } | { path: string }): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.end('hello')
  })
  await new Promise<void>((resolve) => server.listen(where, resolve))
  cleanups.push(() => server.close())
  return server
}
const portOf = (server: Server): number => (server.address() as AddressInfo).port

/** What came before the socket closed. */
function read(address: string, lookup?: LookupFunction): Promise<{ up: boolean; heard: string; error: string }> {
  return new Promise((resolve) => {
    const seen = { up: false, heard: '', error: '' }
    const socket: Socket = dial({
      address,
      lookup,
      onBytes: (bytes, length) => {
        seen.heard += bytes.toString('latin1', 0, length)
        return true
      },
      onUp: () => {
        seen.up = true
      },
    })
    socket.on('error', (error) => {
      seen.error = error.message
    })
    socket.on('close', () => resolve(seen))
  })
}

test('an address may be IPv4, IPv6, a name or a unix socket', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-dial-'))
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }))
  const four = await greeter({ host: '127.0.0.1', port: 0 })
  const six = await greeter({ host: '::1', port: 0 })
  await greeter({ path: join(folder, 'server.sock') })
  for (const address of [
    `127.0.0.1:${portOf(four)}`,
    `[::1]:${portOf(six)}`,
    `localhost:${portOf(four)}`,
    `unix:${join(folder, 'server.sock')}`,
  ])
    expect(await read(address), address).toEqual({ up: true, heard: 'hello', error: '' })
})

test('a name stands for what its look-up says, and an address that does not answer is followed by the next', async () => {
  const server = await greeter({ host: '127.0.0.1', port: 0 })
  const lookup: LookupFunction = (_host, _options, answer) =>
    queueMicrotask(() =>
      answer(
        null,
        ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 })),
      ),
    )
  expect(await read(`no-such-host.invalid:${portOf(server)}`, lookup)).toEqual({ up: true, heard: 'hello', error: '' })
})

test('nobody there: the socket closes with the reason and was never up', async () => {
  expect(await read('127.0.0.1:1')).toMatchObject({ up: false, heard: '', error: expect.stringContaining('ECONNREFUSED') })
  expect(await read('unix:/no/such/socket')).toMatchObject({ up: false, error: expect.stringContaining('ENOENT') })
})
