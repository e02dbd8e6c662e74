/**
 * Copies the payload of a frame into a slab. A bulk copy costs the same 40 ns for 8 bytes as for 200, twice what it takes to move a token's message word by
 * word; words need a view of the memory, which slabs bring along and the buffer that all reads land in is given at its second use.
 */

/** Memory that output is gathered in. */
export type Slab = { readonly bytes: Uint8Array; readonly view: DataView }

const WORD = 8
/** Above it a bulk copy is faster. */
const WORDS_MAX = 200
/** Below it a loop of assignments is faster than a bulk copy. */
const LOOP_MAX = 40

let lastSource: Uint8Array | undefined
let viewed: Uint8Array | undefined
let view: DataView | undefined

export function copyBytes(source: Uint8Array, start: number, end: number, target: Slab, at: number): void {
  const length = end - start
  if (length <= WORDS_MAX) {
    const words = viewOf(source)
    if (words !== undefined) return copyWords(source, words, start, end, target, at)
    if (length <= LOOP_MAX) return copyEach(source, start, end, target.bytes, at)
  }
  target.bytes.set(source.subarray(start, end), at)
}

/** Of the source that comes again and again; others are not worth a view. */
function viewOf(source: Uint8Array): DataView | undefined {
  if (source === viewed) return view
  if (source !== lastSource) {
    lastSource = source
    return undefined
  }
  viewed = source
  view = new DataView(source.buffer, source.byteOffset, source.length)
  return view
}

function copyWords(source: Uint8Array, words: DataView, start: number, end: number, target: Slab, at: number): void {
  const { view } = target
  const last = end - WORD
  let from = start
  for (; from <= last; from += WORD, at += WORD) view.setBigUint64(at, words.getBigUint64(from, true), true)
  copyEach(source, from, end, target.bytes, at)
}

function copyEach(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): void {
  for (let from = start; from < end; from++) target[at++] = source[from] as number
}
