/** TLS clients for tests: one handshake at a time, whatever comes of it. */
import { once } from 'node:events'
import { connect as connectTcp, createServer, type Socket } from 'node:net'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { splitHostPort } from '../../core/edge/listen.ts'

export const connectTls = (address: string, options: ConnectionOptions): TLSSocket => connect({ ...splitHostPort(address), ...options })

/** The socket once the server has been accepted; rejects with the client's own error. */
export async function shakeHands(address: string, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connectTls(address, options)
  await once(socket, 'secureConnect')
  return socket
}

/** What the server says over TLS until it closes; an error of the client counts as an end. */
export function sayOverTls(address: string, options: ConnectionOptions, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connectTls(address, options)
    const parts: Buffer[] = []
    socket.once('secureConnect', () => socket.write(bytes))
    socket.on('data', (chunk: Buffer) => parts.push(chunk))
    socket.on('error', () => {})
    socket.once('close', () => resolve(Buffer.concat(parts).toString('latin1')))
  })
}

/** Passes on what clients send one byte at a time, for as many bytes as asked, and the rest as it comes. */
export async function dribble(address: string, bytes: number): Promise<{ readonly address: string; stop(): void }> {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connectTcp(splitHostPort(address))
    upstream.setNoDelay(true)
    for (const one of [client, upstream]) {
      sockets.add(one)
      one.on('error', () => {})
      one.once('close', () => {
        client.destroy()
        upstream.destroy()
      })
    }
    upstream.pipe(client)
    void passOn(client, upstream, bytes)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const at = server.address()
  return {
    address: `127.0.0.1:${at !== null && typeof at === 'object' ? at.port : 0}`,
    stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

async function passOn(from: Socket, to: Socket, singly: number): Promise<void> {
  let left = singly
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      const slow = chunk.subarray(0, left)
      left -= slow.length
      for (const byte of slow) {
        await new Promise((resolve) => to.write(Buffer.of(byte), resolve))
        await new Promise((resolve) => setImmediate(resolve))
      }
      if (chunk.length > slow.length) to.write(chunk.subarray(slow.length))
    }
  } catch {
    // Either side went away, which is what this stands between.
  }
}
