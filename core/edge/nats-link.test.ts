/** The link against a stand-in that speaks as much NATS as a test needs; `test/mesh/nats-*` has the real server. */

import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import pino from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { limits } from '../limits.ts'
import { millis } from '../units.ts'
import { connectNats, type NatsLink, type NatsLinkState, type NoAnswer } from './nats-link.ts'

const INFO = 'INFO {"server_id":"stand-in","version":"2.15.0","proto":1,"headers":true,"max_payload":1048576}\r\n'

const KIB_64 = 64 * 1024

class StandIn {
  readonly heard: string[] = []
  answersPings = true
  readonly #server = createServer((socket) => this.#greet(socket))
  #socket: Socket | undefined

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      this.#server.close()
      this.hangUp()
    })
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  hangUp(): void {
    this.#socket?.destroy()
  }

  #greet(socket: Socket): void {
    this.#socket = socket
    socket.write(INFO)
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      for (const [line] of bytes.toString('latin1').matchAll(/^(CONNECT|SUB|PING)[^\r]*/gm)) {
        this.heard.push(line.startsWith('CONNECT') ? 'CONNECT' : line.replace(/ \d+$/, ''))
        if (line === 'PING' && this.answersPings) socket.write('PONG\r\n')
      }
    })
  }
}

async function open(server: string): Promise<NatsLink> {
  const link = await connectNats({
    access: { servers: [server], credsFile: undefined, tls: undefined },
    self: { name: 'test', inbox: '_INBOX_test' },
    log: pino({ level: 'silent' }),
    waitMax: millis(50),
    spread: () => millis(0),
  })
  onTestFinished(() => link.close())
  return link
}

test('a server that confirms nothing is handed no more than the bound, until it confirms again', async () => {
  const server = new StandIn()
  const link = await open(await server.listen())
  server.answersPings = false
  const message = new Uint8Array(KIB_64)
  const handed = Array.from({ length: 12 }, () => link.publish('a', message))
  const taken = handed.filter((one) => one === 'handed-over').length
  expect(taken).toBe(limits.busUnconfirmedMax / KIB_64 + 1)
  expect(handed.slice(taken)).toEqual(handed.slice(taken).map(() => 'link-slow'))
})

test('whoever is told that the link is up again has every subscription in place; what is published meanwhile is gone', async () => {
  const server = new StandIn()
  const link = await open(await server.listen())
  await link.subscribe('orders', () => {})
  const states: NatsLinkState[] = []
  const whileDown: unknown[] = []
  let heardAtReturn: readonly string[] = []
  link.onState((state) => {
    states.push(state)
    if (state === 'up') heardAtReturn = server.heard.slice()
    else {
      whileDown.push(link.publish('a', new Uint8Array(1)))
      link.request('a', new Uint8Array(1), millis(1_000)).catch((error: NoAnswer) => whileDown.push(error.why))
    }
  })
  server.heard.length = 0
  server.hangUp()
  await expect.poll(() => states).toEqual(['down', 'up'])
  expect(whileDown).toEqual(['link-down', 'link-down'])
  expect(heardAtReturn).toEqual(['CONNECT', 'PING', 'SUB orders', 'PING'])
  expect(Object.values(link.losses).reduce((sum, count) => sum + count, 0)).toBe(1)
  expect(link.publish('a', new Uint8Array(1))).toBe('handed-over')
})
