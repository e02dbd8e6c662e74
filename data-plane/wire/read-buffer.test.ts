import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { readInto } from './read-buffer.ts'

test('one socket with much to say has two reads a turn, and all that it says arrives', async () => {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [given] = (await once(server, 'connection')) as [Socket]
  const body = Buffer.alloc(64 * limits.readBufferSize, 7)
  client.write(body)
  // The kernel holds as much as it will before the first read.
  for (let held = -1; held !== client.writableLength; ) {
    held = client.writableLength
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  let total = 0
  let thisTurn = 0
  let most = 0
  const socket = readInto(given, (_bytes, length) => {
    total += length
    thisTurn += length
    most = Math.max(most, thisTurn)
    return true
  })
  while (total < body.length) {
    await new Promise((resolve) => setImmediate(resolve))
    thisTurn = 0
  }
  expect(total).toBe(body.length)
  expect(most).toBeLessThanOrEqual(2 * limits.readBufferSize)
  socket.destroy()
  client.destroy()
  server.close()
})
