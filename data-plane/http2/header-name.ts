/**
 * The names of header fields. A name that comes often is one object, found by its bytes, which carries all that is known of the name.
 * The memory is a fixed row of slots: a name takes over the slot that it falls into. That costs time when two names share one, never correctness.
 */
import { STATIC_BY_NAME, type StaticEntry } from './static-table.ts'

/** RFC 7541 §5.1: the value of a prefix of four and of seven bits that says: more bytes follow. */
export const NAME_INDEX_FULL = 0x0f
export const LENGTH_FULL = 0x7f

const NEVER_INDEXED = 0x10

const SLOTS = 512
const KEPT_LENGTH_MAX = 64
const COLON = 0x3a
const NO_ENTRIES: readonly StaticEntry[] = []

/** RFC 9113 §8.2.1: the token characters of RFC 9110 §5.6.2 without the capitals, and a colon in front of a pseudo field. */
const LEGAL_NAME = /^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/

export class HeaderName {
  readonly text: string
  /** False: no head may have it. It may still stand in a dynamic table and be referred to. */
  readonly legal: boolean
  readonly pseudo: boolean
  readonly statics: readonly StaticEntry[]
  /** For the one caller that asks: what the name means to it. */
  memo: unknown = undefined
  #literalPrefix: Uint8Array | undefined = undefined
  #neverIndexedPrefix: Uint8Array | undefined = undefined

  constructor(text: string) {
    this.text = text
    this.legal = LEGAL_NAME.test(text)
    this.pseudo = text.charCodeAt(0) === COLON
    this.statics = STATIC_BY_NAME.get(text) ?? NO_ENTRIES
  }

  /** How a literal without indexing begins, up to its value. Made when first sent: most names that a hostile peer thinks up never are. */
  get literalPrefix(): Uint8Array {
    this.#literalPrefix ??= this.#makePrefix(0)
    return this.#literalPrefix
  }

  get neverIndexedPrefix(): Uint8Array {
    this.#neverIndexedPrefix ??= this.#makePrefix(NEVER_INDEXED)
    return this.#neverIndexedPrefix
  }

  #makePrefix(form: number): Uint8Array {
    const known = this.statics[0]
    const [first = 0, ...more] = known === undefined ? literalName(this.text) : prefixed(known.index, NAME_INDEX_FULL)
    return Uint8Array.from([form | first, ...more])
  }
}

const slots: (HeaderName | undefined)[] = new Array(SLOTS).fill(undefined)

export function nameOfText(text: string): HeaderName {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = mix(hash, text.charCodeAt(i))
  const slot = slotOf(hash)
  const kept = slots[slot]
  return kept !== undefined && kept.text === text ? kept : keep(slot, text)
}

export function nameOfBytes(source: Uint8Array, start: number, end: number): HeaderName {
  let hash = 0
  for (let i = start; i < end; i++) hash = mix(hash, source[i] as number)
  const slot = slotOf(hash)
  const kept = slots[slot]
  return kept !== undefined && isSame(kept.text, source, start, end) ? kept : keep(slot, latin1(source, start, end))
}

/** Bytes as a string, each byte one character. */
export function latin1(source: Uint8Array, start: number, end: number): string {
  let text = ''
  for (let i = start; i < end; i++) text += String.fromCharCode(source[i] as number)
  return text
}

/** An integer behind a prefix whose full value is given, as RFC 7541 §5.1 writes it; the bits before the prefix are zero. */
export function prefixed(value: number, full: number): number[] {
  if (value < full) return [value]
  const bytes = [full]
  let rest = value - full
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  bytes.push(rest)
  return bytes
}

function keep(slot: number, text: string): HeaderName {
  const name = new HeaderName(text)
  if (text.length <= KEPT_LENGTH_MAX) slots[slot] = name
  return name
}

/** Whether the bytes are the text's characters. */
export function isSame(text: string, source: Uint8Array, start: number, end: number): boolean {
  if (text.length !== end - start) return false
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) !== source[start + i]) return false
  return true
}

function mix(hash: number, byte: number): number {
  return (Math.imul(hash, 31) + byte) | 0
}

function slotOf(hash: number): number {
  return (hash ^ (hash >>> 9)) & (SLOTS - 1)
}

function literalName(text: string): number[] {
  const characters = Array.from(text, (character) => character.charCodeAt(0))
  return [0, ...prefixed(text.length, LENGTH_FULL), ...characters]
}
