/**
 * Decodes the header blocks of one connection (RFC 7541). Every block of a connection passes through here in order, also those of refused
 * streams: a block that is too large or holds illegal characters is still decoded to its end, so that the dynamic table stays what the peer
 * thinks it is. Only after `broken` is the decoder of no further use, and the connection with it.
 */
import { ByteArena } from './byte-arena.ts'
import { DynamicTable } from './dynamic-table.ts'
import { type HeaderField, makeField, requestMemory, STATIC_FIELDS } from './header-field.ts'
import { type HeaderName, LENGTH_FULL, NAME_INDEX_FULL, nameOfBytes } from './header-name.ts'
import { decodeHuffman, huffmanRoom } from './huffman.ts'

/**
 * `malformed`: a name or a value that no head may have; `too-large`: more than the limits allow; the stream is to be refused in both cases.
 * `broken`: a COMPRESSION_ERROR of the connection.
 */
export type DecodeResult = 'ok' | 'too-large' | 'malformed' | 'broken'

export type HeadLimits = {
  /** Sum over the fields of name, value and 32. */
  readonly listSizeMax: number
  readonly fieldsMax: number
}

// RFC 7541 §6: the first byte of a representation, from the highest down.
const INDEXED = 0x80
const INCREMENTAL = 0x40
const SIZE_UPDATE = 0x20
const NEVER_INDEXED = 0x10
// §5.1: the full value of a prefix; larger numbers go on behind it.
const INDEX_FULL = 0x7f
const INCREMENTAL_FULL = 0x3f
const SIZE_FULL = 0x1f
const HUFFMAN = 0x80

const INTEGER_MAX = 2 ** 31 - 1
const CONTINUATION_BYTES_MAX = 5

/** Huffman-coded text on its way into a field. Decoding never waits, so the decoders of a process share it. */
let scratch = new Uint8Array(4096)

export class HpackDecoder {
  readonly #table: DynamicTable
  readonly #tableSizeMax: number
  readonly #limits: HeadLimits
  /** Of this connection alone: entries leave the table in the order in which they came. */
  readonly #tableMemory = new ByteArena()
  #at = 0
  #end = 0
  // The string read last.
  #source: Uint8Array = scratch
  #from = 0
  #to = 0

  /** `tableSizeMax` is our SETTINGS_HEADER_TABLE_SIZE. */
  constructor(tableSizeMax: number, limits: HeadLimits) {
    this.#table = new DynamicTable(tableSizeMax)
    this.#tableSizeMax = tableSizeMax
    this.#limits = limits
  }

  /** Reads block[start, end) and appends its fields to `out`, as far as they fit. What `out` holds is of use only with `ok`. */
  decode(block: Uint8Array, start: number, end: number, out: HeaderField[]): DecodeResult {
    this.#at = start
    this.#end = end
    if (!this.#sizeUpdates(block)) return 'broken'
    const { listSizeMax, fieldsMax } = this.#limits
    let listSize = 0
    let fields = 0
    let legal = true
    while (this.#at < end) {
      const field = this.#field(block)
      if (field === undefined) return 'broken'
      listSize += field.size
      fields++
      legal &&= field.legal
      if (listSize <= listSizeMax && fields <= fieldsMax) out.push(field)
    }
    this.#source = scratch
    if (!legal) return 'malformed'
    return listSize <= listSizeMax && fields <= fieldsMax ? 'ok' : 'too-large'
  }

  /** §4.2: only at the beginning of a block. */
  #sizeUpdates(block: Uint8Array): boolean {
    while (this.#at < this.#end && ((block[this.#at] as number) & ~SIZE_FULL) === SIZE_UPDATE) {
      const size = this.#integer(block, SIZE_FULL)
      if (size < 0 || size > this.#tableSizeMax) return false
      this.#table.resize(size)
    }
    return true
  }

  #field(block: Uint8Array): HeaderField | undefined {
    const first = block[this.#at] as number
    if (first >= INDEXED) return this.#entry(this.#integer(block, INDEX_FULL))
    if (first >= INCREMENTAL) {
      const field = this.#literal(block, INCREMENTAL_FULL, false, this.#tableMemory)
      if (field !== undefined) this.#table.insert(field)
      return field
    }
    if (first >= SIZE_UPDATE) return undefined
    return this.#literal(block, NAME_INDEX_FULL, first >= NEVER_INDEXED, requestMemory)
  }

  #literal(block: Uint8Array, full: number, neverIndexed: boolean, arena: ByteArena): HeaderField | undefined {
    const index = this.#integer(block, full)
    const name = index === 0 ? this.#newName(block) : this.#entry(index)?.header
    if (name === undefined || !this.#string(block)) return undefined
    return makeField(name, this.#source, this.#from, this.#to, neverIndexed, arena)
  }

  #newName(block: Uint8Array): HeaderName | undefined {
    return this.#string(block) ? nameOfBytes(this.#source, this.#from, this.#to) : undefined
  }

  /** Undefined: there is none, as for an illegal integer. */
  #entry(index: number): HeaderField | undefined {
    if (index < STATIC_FIELDS.length) return index > 0 ? STATIC_FIELDS[index] : undefined
    return this.#table.at(index - STATIC_FIELDS.length)
  }

  /** §5.2. Where it lies is told by #source, #from and #to, until the next string is read. */
  #string(block: Uint8Array): boolean {
    if (this.#at >= this.#end) return false
    const huffman = (block[this.#at] as number) >= HUFFMAN
    const length = this.#integer(block, LENGTH_FULL)
    const from = this.#at
    const to = from + length
    if (length < 0 || to > this.#end) return false
    this.#at = to
    if (!huffman) {
      this.#source = block
      this.#from = from
      this.#to = to
      return true
    }
    const room = huffmanRoom(length)
    if (room > scratch.length) scratch = new Uint8Array(room)
    this.#source = scratch
    this.#from = 0
    this.#to = decodeHuffman(block, from, to, scratch)
    return this.#to >= 0
  }

  /** §5.1. -1: cut off, too long or too large. */
  #integer(block: Uint8Array, full: number): number {
    const prefix = (block[this.#at++] as number) & full
    if (prefix < full) return prefix
    let value = full
    for (let i = 0; i < CONTINUATION_BYTES_MAX && this.#at < this.#end; i++) {
      const byte = block[this.#at++] as number
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return value <= INTEGER_MAX ? value : -1
    }
    return -1
  }
}
