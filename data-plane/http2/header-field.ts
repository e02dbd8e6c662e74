/**
 * A header field as it stands in a dynamic table, in a decoded head and in a head about to be sent: one immutable object for all three.
 * It carries an encoding that refers to no dynamic table, so it may be sent on any connection at any time, and a head is forwarded by copying
 * its fields' bytes one after the other. A field that came as never-indexed stays so.
 */
import { assert } from '../../core/assert.ts'
import { ByteArena } from './byte-arena.ts'
import { type HeaderName, isSame, LENGTH_FULL, latin1, nameOfText, prefixed } from './header-name.ts'
import { STATIC_ENTRIES, type StaticEntry } from './static-table.ts'

/** RFC 7541 §4.1: what an entry counts beside its bytes. */
const ENTRY_OVERHEAD = 32
const INDEXED = 0x80
/** Of a string's length below 2^31. */
const LENGTH_BYTES_MAX = 6
const SPACE = 0x20
const TAB = 0x09
const NOTHING = new Uint8Array(0)

/** Where a byte of a value may stand. The fields of a request line become addresses and paths: no blank, nothing beyond ASCII. */
const ANYWHERE = 0
const NOT_IN_PSEUDO = 1
const NOWHERE = 2
/** RFC 9110 §5.5 has no control but the tab in a value. Some servers end a whole connection over one, and others' requests share it. */
const PLACE_OF_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === SPACE || byte === TAB || byte > 0x7f) return NOT_IN_PSEUDO
  return byte < SPACE || byte === 0x7f ? NOWHERE : ANYWHERE
})

/** How a field is encoded: by an index of the static table, or as a literal that no table keeps; hops behind us may index a plain literal. */
type Form = 'static' | 'literal' | 'never-indexed'

export class HeaderField {
  readonly header: HeaderName
  readonly form: Form
  /** False: name or value hold what no head may hold. Such a field may stand in a dynamic table, but is in no head that is `ok`. */
  readonly legal: boolean
  /** Where the rest of the encoding lies, behind `prefix`, and the value in it. The memory is never rewritten. */
  readonly memory: Uint8Array
  readonly restAt: number
  readonly restEnd: number
  readonly valueAt: number
  readonly valueEnd: number
  /** For callers: what was found out about the field once. Clients index, so the same object comes again with later heads. */
  memo: unknown = undefined
  #text: string | undefined = undefined
  #value: Uint8Array | undefined = undefined

  constructor(
    header: HeaderName,
    form: Form,
    legal: boolean,
    memory: Uint8Array,
    restAt: number,
    restEnd: number,
    valueAt: number,
    valueEnd: number,
  ) {
    this.header = header
    this.form = form
    this.legal = legal
    this.memory = memory
    this.restAt = restAt
    this.restEnd = restEnd
    this.valueAt = valueAt
    this.valueEnd = valueEnd
  }

  get name(): string {
    return this.header.text
  }

  /** What the field counts in a table and in a header list. */
  get size(): number {
    return this.header.text.length + this.valueEnd - this.valueAt + ENTRY_OVERHEAD
  }

  get value(): Uint8Array {
    this.#value ??= this.memory.subarray(this.valueAt, this.valueEnd)
    return this.#value
  }

  get neverIndexed(): boolean {
    return this.form === 'never-indexed'
  }

  /** How the encoding begins: with the name. Fields share it, so a long name that is referred to often is in memory once. */
  get prefix(): Uint8Array {
    if (this.form === 'static') return NOTHING
    return this.form === 'literal' ? this.header.literalPrefix : this.header.neverIndexedPrefix
  }

  /** The whole encoding. */
  get wire(): Uint8Array {
    return Uint8Array.from([...this.prefix, ...this.memory.subarray(this.restAt, this.restEnd)])
  }

  get text(): string {
    this.#text ??= latin1(this.memory, this.valueAt, this.valueEnd)
    return this.#text
  }
}

/** The value, each byte one character. */
export const valueText = (field: HeaderField): string => field.text

let scratch = new Uint8Array(1024)

/** The fields of the static table by their index; there is none at 0. */
export const STATIC_FIELDS: readonly (HeaderField | undefined)[] = [undefined, ...STATIC_ENTRIES.map(staticField)]

/** For fields that no dynamic table keeps: they go with their request. */
export const requestMemory = new ByteArena()

/** A field of a head that the proxy writes itself. A string's characters are its bytes: the caller has encoded what is not Latin-1. */
export function headerField(name: string, value: string | Uint8Array, neverIndexed = false): HeaderField {
  const bytes = typeof value === 'string' ? bytesOf(value) : value
  const field = makeField(nameOfText(name), bytes, 0, value.length, neverIndexed, requestMemory)
  assert(field.legal, 'the proxy writes legal fields only')
  return field
}

/** gRPC's encoding of error texts leaves blanks bare, and servers send texts that end in one; whoever forwards the field encodes them. */
const FREE_TEXT = 'grpc-message'

/** Copies the value out of source[start, end) and checks it on the way. */
export function makeField(
  header: HeaderName,
  source: Uint8Array,
  start: number,
  end: number,
  neverIndexed: boolean,
  arena: ByteArena,
): HeaderField {
  const known = neverIndexed ? undefined : knownField(header, source, start, end)
  if (known !== undefined) return known
  const length = end - start
  const restAt = arena.reserve((length < LENGTH_FULL ? 1 : LENGTH_BYTES_MAX) + length)
  const { memory } = arena
  let at = restAt
  if (length < LENGTH_FULL) memory[at++] = length
  else for (const byte of prefixed(length, LENGTH_FULL)) memory[at++] = byte
  const valueAt = at
  let place = ANYWHERE
  for (let i = start; i < end; i++) {
    const byte = source[i] as number
    memory[at++] = byte
    place |= PLACE_OF_BYTE[byte] as number
  }
  const legal =
    header.legal && place <= (header.pseudo ? ANYWHERE : NOT_IN_PSEUDO) && (header.text === FREE_TEXT || !hasBlankEnd(memory, valueAt, at))
  return new HeaderField(header, neverIndexed ? 'never-indexed' : 'literal', legal, memory, restAt, at, valueAt, at)
}

/** RFC 9113 §8.2.1: a value neither begins nor ends with a blank. */
export function hasBlankEnd(memory: Uint8Array, start: number, end: number): boolean {
  return end > start && (isBlank(memory[start] as number) || isBlank(memory[end - 1] as number))
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB
}

/** The field of the static table that says the same, if there is one: its encoding is a single byte. */
function knownField({ statics }: HeaderName, source: Uint8Array, start: number, end: number): HeaderField | undefined {
  for (const { index, value } of statics) if (isSame(value, source, start, end)) return STATIC_FIELDS[index]
  return undefined
}

function staticField({ index, name, value }: StaticEntry): HeaderField {
  const memory = Uint8Array.from([INDEXED | index, ...bytesOf(value).subarray(0, value.length)])
  return new HeaderField(nameOfText(name), 'static', true, memory, 0, 1, 1, memory.length)
}

/** Good until the next call. */
function bytesOf(text: string): Uint8Array {
  if (text.length > scratch.length) scratch = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) {
    const byte = text.charCodeAt(i)
    assert(byte <= 0xff, 'a value is text of one byte a character')
    scratch[i] = byte
  }
  return scratch
}
