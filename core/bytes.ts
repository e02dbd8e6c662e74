/** Copies of bytes. Reads come as Node's Buffers, whose `slice` is no copy but a view of memory that the next read overwrites. */

/** Memory of its own, whatever kind of array the bytes lie in. */
export const copyOf = (source: Uint8Array, start: number, end: number): Uint8Array => new Uint8Array(source.subarray(start, end))

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}
