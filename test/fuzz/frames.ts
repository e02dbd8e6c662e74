/** Frames as a peer writes them, legal or not, and read back from what the engine writes. Knows nothing of the engine's own reader and writer. */
import { must } from './target.ts'

export const HEAD = 9
export const DATA = 0
export const HEADERS = 1
export const PRIORITY = 2
export const RST_STREAM = 3
export const SETTINGS = 4
export const PUSH_PROMISE = 5
export const PING = 6
export const GOAWAY = 7
export const WINDOW_UPDATE = 8
export const CONTINUATION = 9

export const END_STREAM = 1
export const ACK = 1
export const END_HEADERS = 4
export const PADDED = 8
export const WITH_PRIORITY = 32

export const CLIENT_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

export type Frame = { readonly type: number; readonly flags: number; readonly id: number; readonly payload: Buffer }

export function frame(type: number, flags: number, id: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(HEAD + payload.length)
  bytes.writeUIntBE(payload.length, 0, 3)
  bytes[3] = type
  bytes[4] = flags
  bytes.writeUInt32BE(id >>> 0, 5)
  bytes.set(payload, HEAD)
  return bytes
}

export function number32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(value >>> 0, 0)
  return bytes
}

export function settingsPayload(values: readonly (readonly [id: number, value: number])[]): Buffer {
  const bytes = Buffer.allocUnsafe(6 * values.length)
  for (const [i, [id, value]] of values.entries()) {
    bytes.writeUInt16BE(id, 6 * i)
    bytes.writeUInt32BE(value >>> 0, 6 * i + 2)
  }
  return bytes
}

/** `padding` undefined: none, nor the byte that tells its length. */
export function padded(payload: Uint8Array, padding: number | undefined): Uint8Array {
  if (padding === undefined) return payload
  const bytes = Buffer.alloc(1 + payload.length + padding)
  bytes[0] = padding
  bytes.set(payload, 1)
  return bytes
}

/** Whole frames only: a writer never stops in the middle of one. */
export function eachFrame(bytes: Uint8Array, visit: (frame: Frame) => void): number {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = 0
  let count = 0
  while (at < view.length) {
    must(view.length - at >= HEAD, 'output ends within a frame head')
    const size = view.readUIntBE(at, 3)
    must(view.length - at >= HEAD + size, 'output ends within a frame')
    visit({
      type: view[at + 3] as number,
      flags: view[at + 4] as number,
      id: view.readUInt32BE(at + 5),
      payload: view.subarray(at + HEAD, at + HEAD + size),
    })
    at += HEAD + size
    count++
  }
  return count
}
