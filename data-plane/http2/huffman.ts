/**
 * The Huffman code of HPACK (RFC 7541 §5.2, appendix B), decoded four bits at a time by a state machine that is made at load.
 * A state is an inner node of the code tree. The shortest code has five bits, so a step emits one byte at most.
 */
import { assert } from '../../core/assert.ts'

const EOS = 256
const STEP_BITS = 4
const PADDING_BITS_MAX = 7

/**
 * Bits of the code of each byte, and of EOS last. The code is canonical: ordered by length, then by byte, each code is the one before plus one,
 * so the lengths say everything.
 */
// biome-ignore format: sixteen a row
const CODE_BITS: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
]

/** A step's entry: the emitted byte in bits 0..7, whether there is one in bit 8, the next state (times 16, to be or-ed with a nibble) above. */
const EMITS = 1 << 8
const STATE_SHIFT = 9
const INNER_NODES = EOS
/** Where EOS leads: no way out of it and no legal end in it, so the loop need not look. */
const DEAD = INNER_NODES

const { steps, legalEnds } = stateMachine(codeTree())

/** Bytes that `decodeHuffman` may touch in its target for so many coded bytes: the longest text, and one that is written and not counted. */
export const huffmanRoom = (length: number): number => Math.ceil((length * 8) / 5) + 1

/**
 * Decodes source[start, end) into the target, which has `huffmanRoom` from 0 on; answers the length of the text.
 * -1: EOS inside, or an end that is not up to seven one-bits.
 */
export function decodeHuffman(source: Uint8Array, start: number, end: number, target: Uint8Array): number {
  let state = 0
  let at = 0
  for (let i = start; i < end; i++) {
    const byte = source[i] as number
    const high = steps[state | (byte >>> STEP_BITS)] as number
    target[at] = high
    at += (high & EMITS) >>> 8
    const low = steps[(high >>> STATE_SHIFT) | (byte & 15)] as number
    target[at] = low
    at += (low & EMITS) >>> 8
    state = low >>> STATE_SHIFT
  }
  return legalEnds[state >>> STEP_BITS] === 1 ? at : -1
}

type CodeTree = Int16Array

/** Two children a node: the number of an inner node (the root, 0, is nobody's child), or a leaf as the complement of its symbol. */
function codeTree(): CodeTree {
  const order = CODE_BITS.map((_, symbol) => symbol).sort((a, b) => bitsOf(a) - bitsOf(b) || a - b)
  const tree = new Int16Array(2 * INNER_NODES)
  let nodes = 1
  let code = 0
  let bits = bitsOf(order[0] as number)
  for (const symbol of order) {
    code *= 2 ** (bitsOf(symbol) - bits)
    bits = bitsOf(symbol)
    let node = 0
    for (let bit = bits - 1; bit > 0; bit--) {
      const child = 2 * node + ((code >>> bit) & 1)
      if (tree[child] === 0) tree[child] = nodes++
      node = tree[child] as number
    }
    tree[2 * node + (code & 1)] = ~symbol
    code++
  }
  assert(nodes === INNER_NODES && code === 2 ** bits, 'the code lengths fill the tree')
  return tree
}

function bitsOf(symbol: number): number {
  return CODE_BITS[symbol] as number
}

function stateMachine(tree: CodeTree): { readonly steps: Uint32Array; readonly legalEnds: Uint8Array } {
  const steps = new Uint32Array((INNER_NODES + 1) << STEP_BITS)
  for (let nibble = 0; nibble < 16; nibble++) {
    for (let state = 0; state < INNER_NODES; state++) steps[(state << STEP_BITS) | nibble] = step(tree, state, nibble)
    steps[(DEAD << STEP_BITS) | nibble] = DEAD << (STATE_SHIFT + STEP_BITS)
  }
  const legalEnds = new Uint8Array(INNER_NODES + 1)
  for (let node = 0, ones = 0; ones <= PADDING_BITS_MAX; ones++) {
    legalEnds[node] = 1
    node = tree[2 * node + 1] as number
  }
  return { steps, legalEnds }
}

function step(tree: CodeTree, state: number, nibble: number): number {
  let node = state
  let emitted = 0
  for (let bit = STEP_BITS - 1; bit >= 0; bit--) {
    const child = tree[2 * node + ((nibble >>> bit) & 1)] as number
    if (child === ~EOS) return DEAD << (STATE_SHIFT + STEP_BITS)
    if (child < 0) emitted = EMITS | ~child
    node = Math.max(child, 0)
  }
  return (node << (STATE_SHIFT + STEP_BITS)) | emitted
}
