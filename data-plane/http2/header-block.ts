/** A head as it goes out: its fields' own encodings, one after the other. No dynamic table is used, so nothing is kept of what a peer was sent. */
import type { HeaderField } from './header-field.ts'

/** Below this a loop of assignments is faster than a bulk copy, which needs a view first. */
const LOOP_COPY_MAX = 96

export function blockLength(fields: readonly HeaderField[]): number {
  let length = 0
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i] as HeaderField
    length += field.prefix.length + field.restEnd - field.restAt
  }
  return length
}

/** The target has room for `blockLength(fields)` from `at` on; answers where the block ends. */
export function writeBlock(fields: readonly HeaderField[], target: Uint8Array, at: number): number {
  for (let i = 0; i < fields.length; i++) {
    const { prefix, memory, restAt, restEnd } = fields[i] as HeaderField
    copy(prefix, 0, prefix.length, target, at)
    at += prefix.length
    copy(memory, restAt, restEnd, target, at)
    at += restEnd - restAt
  }
  return at
}

function copy(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void {
  if (end - start <= LOOP_COPY_MAX) for (let i = start; i < end; i++) target[at++] = source[i] as number
  else target.set(source.subarray(start, end), at)
}
