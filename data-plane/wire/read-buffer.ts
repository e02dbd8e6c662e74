/** One buffer for the reads of all sockets of a worker: each read is walked before the next is made, so reading allocates nothing. */
import { type OnReadOpts, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { limits } from '../../core/limits.ts'

/** A peer that vanished without a word is noticed by the kernel, which no server mistakes for a ping flood. */
export const KEEP_ALIVE_MS = 10_000

const readBuffer = Buffer.allocUnsafeSlow(limits.readBufferSize)

/** The bytes are good until `onBytes` returns. It answers whether to read on; whoever says no resumes the socket. */
export type OnBytes = (bytes: Buffer, length: number) => boolean

export function onReadOf(onBytes: OnBytes): OnReadOpts {
  let full = 0
  return {
    buffer: readBuffer,
    /** Node calls it on the socket, and stops reading when it answers false. */
    callback(this: unknown, length: number): boolean {
      if (!onBytes(readBuffer, length)) {
        full = 0
        return false
      }
      if (length < readBuffer.length) full = 0
      else if (++full >= limits.fullReadsPerTurn && this instanceof Socket) {
        full = 0
        setImmediate(readOn, this)
        return false
      }
      return true
    },
  }
}

function readOn(socket: Socket): void {
  if (!socket.destroyed) socket.resume()
}

function readChunks(socket: Socket, onBytes: OnBytes): void {
  socket.on('data', (chunk: Buffer) => {
    if (!onBytes(chunk, chunk.length)) socket.pause()
  })
}

/**
 * Node takes a read buffer only when a socket is made, and a socket that came from another process is made already: its handle moves into a new
 * one. Without a handle to move (another runtime, a later Node) the socket is read as any other.
 */
export function readInto(given: Socket, onBytes: OnBytes): Socket {
  const owner = given as unknown as { _handle: unknown }
  const handle = owner._handle
  if (handle === null || handle === undefined) {
    readChunks(given, onBytes)
    return given
  }
  owner._handle = null
  const socket = new Socket({ handle, readable: true, writable: true, onread: onReadOf(onBytes) } as unknown as ConstructorParameters<
    typeof Socket
  >[0])
  socket.resume()
  return socket
}

type ReadIntoBuffer = { [symbol: symbol]: unknown; readonly _handle?: { useUserBuffer?(buffer: Uint8Array): void } | null }

/**
 * What a TLS socket has decrypted lands in the shared buffer, too. Node offers that to sockets that it connects itself, and keeps it from those that
 * are wrapped around another; the places are the same. Where they cannot be found the socket is read as any other.
 */
export function readDecrypted(socket: TLSSocket, onBytes: OnBytes): void {
  const inner = socket as unknown as ReadIntoBuffer
  const places = Object.getOwnPropertySymbols(socket)
  const buffer = places.find((place) => place.description === 'kBuffer')
  const callback = places.find((place) => place.description === 'kBufferCb')
  const handle = inner._handle
  if (buffer === undefined || callback === undefined || handle?.useUserBuffer === undefined) {
    readChunks(socket, onBytes)
    return
  }
  inner[buffer] = readBuffer
  inner[callback] = onReadOf(onBytes).callback
  handle.useUserBuffer(readBuffer)
  socket.resume()
}
