/** A client that says what a test wants, byte for byte, and keeps what comes back: for whatever decides by the first bytes of a connection. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { splitHostPort } from '../../core/edge/listen.ts'

export type PlainClient = {
  readonly socket: Socket
  /** All that came, once the other side has closed. */
  readonly answer: Promise<string>
  /** One write per byte, each in a packet of its own as far as the kernel allows. */
  sayByteByByte(bytes: Uint8Array): Promise<void>
}

export async function connectPlain(address: string): Promise<PlainClient> {
  const socket = connect(splitHostPort(address))
  await once(socket, 'connect')
  socket.setNoDelay(true)
  const parts: Buffer[] = []
  socket.on('data', (chunk: Buffer) => parts.push(chunk))
  // Whoever is turned away may see a reset.
  socket.on('error', () => {})
  const answer = new Promise<string>((resolve) => socket.once('close', () => resolve(Buffer.concat(parts).toString('latin1'))))
  return {
    socket,
    answer,
    async sayByteByByte(bytes) {
      for (const byte of bytes) {
        await new Promise((resolve) => socket.write(Buffer.of(byte), resolve))
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
  }
}

/** Says it all and waits for the end. */
export async function sayAndHear(address: string, bytes: string | Uint8Array): Promise<string> {
  const client = await connectPlain(address)
  client.socket.write(bytes)
  return client.answer
}
