/**
 * The thread that attacks: its noise, and the server that its requests reach, are not to slow down the test that measures. One order at a time: waves of
 * one attack until the time is over; the answer says how many there were and what went wrong.
 */
import { createServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { parentPort } from 'node:worker_threads'
import { ATTACKS, BIG, BIG_BYTES, SLOW_ATTACK } from './attacks.ts'

export type Order = { readonly attack: string; readonly to: string; readonly forMs: number }
export type Outcome = { readonly waves: number; readonly complaint: string | undefined }

/** Whoever is thrown out comes again. */
const PAUSE_MS = 50

/**
 * The proxy passes resets on; this server is not what is under test, and is not to end a connection or refuse a stream over them. It goes on counting
 * as memory (megabytes) what it had queued for streams that were reset, so a gigabyte is spent after a few waves.
 */
const server = createServer({
  maxSessionMemory: 1_000_000,
  maxSessionInvalidFrames: 1_000_000,
  maxSessionRejectedStreams: 1_000_000,
  streamResetBurst: 1_000_000,
  streamResetRate: 1_000_000,
})
/** It would look like a guard that did not fire: what waits is less than was asked for. */
const troubles: string[] = []
server.on('sessionError', (error) => void troubles.push(`the attacked server: ${error.message}`))
server.on('stream', (stream, headers) => {
  stream.on('error', () => {})
  if (headers[':path'] !== BIG) return
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
  const answer = Buffer.alloc(5 + BIG_BYTES)
  answer.writeUInt32BE(BIG_BYTES, 1)
  stream.end(answer)
})

async function play({ attack, to, forMs }: Order): Promise<Outcome> {
  const found = [...ATTACKS, SLOW_ATTACK].find(({ name }) => name === attack)
  const until = performance.now() + forMs
  let waves = 0
  do {
    const complaint = (await found?.wave(to)) ?? undefined
    waves++
    if (complaint !== undefined) return { waves, complaint }
    await wait(PAUSE_MS)
  } while (performance.now() < until)
  return { waves, complaint: undefined }
}

parentPort?.on('message', (order: Order) => {
  play(order).then(
    (outcome) => parentPort?.postMessage(outcome),
    (error: Error) => parentPort?.postMessage({ waves: 0, complaint: [error.stack, ...troubles].join('\n') } satisfies Outcome),
  )
})

server.listen(0, '127.0.0.1', () => parentPort?.postMessage({ backend: `127.0.0.1:${(server.address() as AddressInfo).port}` }))
