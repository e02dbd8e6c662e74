/**
 * Writes header blocks in every way that RFC 7541 allows: indexed, from the dynamic table or spelt out, with Huffman code or without, never
 * indexed, with size updates in front. Keeps its own dynamic table, so that it knows what the reader's must hold.
 */
import { STATIC_ENTRIES } from '../../data-plane/http2/static-table.ts'
import type { Draw } from './draw.ts'

export type Line = readonly [name: string, value: string]

const TABLE_MAX = 4_096
const OVERHEAD = 32
/** RFC 7541 appendix B: bits of each byte's code, base 36; the code is canonical, so its lengths say everything. */
const BITS = Array.from(
  'dnsssssssoussussssssssssusssssss6aacd68baa8b8666555666666678f6cad67777777777777777777777878djde6f56565666577666567655677777fbeds' +
    'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmnqqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq',
  (digit) => Number.parseInt(digit, 36),
)

const CODES: readonly number[] = (() => {
  const codes: number[] = new Array(256)
  let code = 0
  let length = 0
  for (const byte of BITS.map((_, i) => i).sort((a, b) => (BITS[a] as number) - (BITS[b] as number) || a - b)) {
    const bits = BITS[byte] as number
    code *= 2 ** (bits - length)
    length = bits
    codes[byte] = code++
  }
  return codes
})()

function huffman(text: string): number[] {
  const bytes: number[] = []
  let held = 0
  let bits = 0
  for (let i = 0; i < text.length; i++) {
    const byte = text.charCodeAt(i)
    held = held * 2 ** (BITS[byte] as number) + (CODES[byte] as number)
    bits += BITS[byte] as number
    while (bits >= 8) {
      const top = Math.floor(held / 2 ** (bits - 8))
      bytes.push(top)
      held -= top * 2 ** (bits - 8)
      bits -= 8
    }
  }
  if (bits > 0) bytes.push(held * 2 ** (8 - bits) + (2 ** (8 - bits) - 1))
  return bytes
}

export class HpackWriter {
  /** Newest first. */
  #table: Line[] = []
  #size = 0
  #capacity = TABLE_MAX

  block(lines: readonly Line[], draw: Draw): Buffer {
    const out: number[] = []
    if (draw.oneIn(20)) this.#resize(out, draw)
    for (const line of lines) this.#line(out, line, draw)
    return Buffer.from(out)
  }

  #resize(out: number[], draw: Draw): void {
    // Down first and then up, as RFC 7541 §4.2 asks of an encoder whose table shrank in between.
    for (const size of draw.oneIn(2) ? [draw.below(200), draw.between(0, TABLE_MAX)] : [draw.between(0, TABLE_MAX)]) {
      this.#integer(out, size, 0x1f, 0x20)
      this.#capacity = size
      this.#evict(size)
    }
  }

  #line(out: number[], [name, value]: Line, draw: Draw): void {
    const whole = this.#find(name, value)
    if (whole > 0 && !draw.oneIn(8)) return this.#integer(out, whole, 0x7f, 0x80)
    const kind = draw.below(10)
    const nameAt = draw.oneIn(6) ? 0 : this.#find(name, undefined)
    if (kind < 7) this.#integer(out, nameAt, 0x3f, 0x40)
    else this.#integer(out, nameAt, 0x0f, kind < 9 ? 0x00 : 0x10)
    if (nameAt === 0) this.#string(out, name, draw)
    this.#string(out, value, draw)
    if (kind < 7) this.#insert([name, value])
  }

  #insert(line: Line): void {
    const size = line[0].length + line[1].length + OVERHEAD
    this.#evict(this.#capacity - size)
    if (size > this.#capacity) return
    this.#table.unshift(line)
    this.#size += size
  }

  #evict(most: number): void {
    while (this.#size > most) {
      const last = this.#table.pop()
      if (last === undefined) break
      this.#size -= last[0].length + last[1].length + OVERHEAD
    }
  }

  /** 0: there is none. */
  #find(name: string, value: string | undefined): number {
    for (const [i, line] of this.#table.entries())
      if (line[0] === name && (value === undefined || line[1] === value)) return STATIC_ENTRIES.length + 1 + i
    return STATIC_ENTRIES.find((entry) => entry.name === name && (value === undefined || entry.value === value))?.index ?? 0
  }

  #string(out: number[], text: string, draw: Draw): void {
    const bytes = draw.oneIn(2) ? huffman(text) : undefined
    this.#integer(out, bytes?.length ?? text.length, 0x7f, bytes === undefined ? 0 : 0x80)
    if (bytes !== undefined) for (const byte of bytes) out.push(byte)
    else for (let i = 0; i < text.length; i++) out.push(text.charCodeAt(i))
  }

  #integer(out: number[], value: number, full: number, first: number): void {
    if (value < full) return void out.push(first | value)
    out.push(first | full)
    let rest = value - full
    for (; rest >= 0x80; rest = Math.floor(rest / 128)) out.push((rest % 128) | 0x80)
    out.push(rest)
  }
}
