/**
 * Gives the messages of an inference request the name and version of the model that is meant, as they pass: a server knows its models, and not by which
 * other names they are asked for. What a client wrote of the two, before its tensors, is taken out, and one field of each is put in front.
 * Invariants: what goes out differs in these fields and in the length before it only, whatever the cuts of the reads. No more of a message is held
 * than its beginning, up to the tensors; a compressed one is held whole, within bounds, and goes out inflated.
 */
import { limits } from '../../core/limits.ts'
import type { Stream } from '../http2/stream.ts'
import { lengthAt } from './message-walker.ts'
import type { OpenInflater, ScanRefusal } from './request-scanner.ts'

const PREFIX = 5
const NAME = 1
const VERSION = 2
/** Behind it come tensors, once the name is known: the scanner draws the line at the same place. */
const PRELUDE_LAST = 4

export type Out = (bytes: Uint8Array, start: number, end: number) => void
export type NameChange = { readonly model: string; readonly version: string }

export class MessageRenamer {
  refusal: ScanRefusal | undefined
  /** Bytes that went out beyond those that came in; what is held counts as come in. */
  grown = 0
  readonly #names: Uint8Array
  readonly #encoding: string
  readonly #openInflater: OpenInflater
  /** Of the current message: its beginning, and what is to come of it behind that. */
  #held: Uint8Array = new Uint8Array(HELD_FIRST)
  #length = 0
  #rest = 0

  constructor({ model, version }: NameChange, encoding: string, openInflater: OpenInflater) {
    this.#names = nameFields(model, version)
    this.#encoding = encoding
    this.#openInflater = openInflater
  }

  /** `out` is called while this runs, with bytes that are good until it returns. */
  feed(source: Uint8Array, start: number, end: number, out: Out): void {
    for (let at = start; at < end && this.refusal === undefined; ) {
      if (this.#rest === 0) {
        at = this.#hold(source, at, end)
        this.#rename(out)
        continue
      }
      const piece = Math.min(this.#rest, end - at)
      out(source, at, at + piece)
      this.#rest -= piece
      at += piece
    }
  }

  /** Sends on what comes out; answers how many bytes left at once. */
  pass(to: Pick<Stream, 'sendData'>, source: Uint8Array, start: number, end: number, ends: boolean): number {
    let left = 0
    this.feed(source, start, end, (bytes, from, until) => {
      left += to.sendData(bytes, from, until, false)
    })
    if (ends && this.refusal === undefined) to.sendData(NOTHING, 0, 0, true)
    return left
  }

  /** Takes no more than belongs to the message. */
  #hold(source: Uint8Array, at: number, end: number): number {
    const whole = this.#length < PREFIX ? PREFIX : PREFIX + lengthAt(this.#held, 1)
    const piece = Math.min(whole - this.#length, end - at)
    if (this.#length + piece > this.#held.length) {
      const larger = new Uint8Array(Math.max(2 * this.#held.length, this.#length + piece))
      larger.set(this.#held)
      this.#held = larger
    }
    this.#held.set(source.subarray(at, at + piece), this.#length)
    this.#length += piece
    this.grown -= piece
    return at + piece
  }

  #rename(out: Out): void {
    if (this.#length < PREFIX) return
    const whole = PREFIX + lengthAt(this.#held, 1)
    if (this.#held[0] !== 0) return this.#renameCompressed(whole, out)
    const kept = partsWithoutNames(this.#held, PREFIX, this.#length, whole)
    if (kept === undefined) return
    this.#emit(this.#held, kept, whole - this.#length, out)
  }

  #renameCompressed(whole: number, out: Out): void {
    if (whole > limits.renamedCompressedMax) return this.#refuse(`${limits.renamedCompressedMax} bytes`)
    if (this.#length < whole) return
    const body = this.#inflated(whole)
    const kept = body && partsWithoutNames(body, 0, body.length, body.length)
    if (kept === undefined) return this.#refuse(`${limits.renamedInflatedMax} bytes when inflated`)
    this.#emit(body as Uint8Array, kept, 0, out)
  }

  /** `parts` of the source are kept; `rest` bytes of the message are still to come, and pass as they are. */
  #emit(source: Uint8Array, parts: readonly Part[], rest: number, out: Out): void {
    let length = this.#names.length + rest
    for (const { start, end } of parts) length += end - start
    const prefix = new Uint8Array(PREFIX)
    new DataView(prefix.buffer).setUint32(1, length)
    const send = (bytes: Uint8Array, start: number, end: number): void => {
      if (end === start) return
      this.grown += end - start
      out(bytes, start, end)
    }
    send(prefix, 0, PREFIX)
    send(this.#names, 0, this.#names.length)
    for (const { start, end } of parts) send(source, start, end)
    this.#length = 0
    this.#rest = rest
  }

  #inflated(whole: number): Uint8Array | undefined {
    const pieces = this.#openInflater(this.#encoding)?.push(this.#held.subarray(PREFIX, whole), true) ?? []
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    if (length > limits.renamedInflatedMax) return undefined
    const body = new Uint8Array(length)
    let at = 0
    for (const piece of pieces) {
      body.set(piece, at)
      at += piece.length
    }
    return body
  }

  #refuse(beyond: string): void {
    const detail = `a compressed message whose model goes by another name may not exceed ${beyond}: send it uncompressed, or name its model as the server does`
    this.refusal = { reason: 'compressed-alias', detail }
  }
}

/** Most beginnings fit. */
const HELD_FIRST = 2_048

type Part = { readonly start: number; readonly end: number }

/**
 * Walks a message up to its tensors: what lies between the fields that name the model, to the end of what is here. Undefined while more is needed.
 * `whole` is where the message ends. Its form was checked by whoever let it pass.
 */
function partsWithoutNames(bytes: Uint8Array, start: number, end: number, whole: number): readonly Part[] | undefined {
  const parts: Part[] = []
  let keptFrom = start
  let named = false
  for (let at = start; ; ) {
    if (at === whole) return [...parts, { start: keptFrom, end }]
    const tag = varintAt(bytes, at, end)
    if (tag === undefined) return undefined
    const field = Math.floor(tag.value / 8)
    if (field > PRELUDE_LAST && named) return [...parts, { start: keptFrom, end }]
    const next = endOfValue(bytes, tag.end, end, tag.value % 8)
    if (next === undefined || next > end) return undefined
    if (field === NAME) named = true
    if (field === NAME || field === VERSION) {
      parts.push({ start: keptFrom, end: at })
      keptFrom = next
    }
    at = next
  }
}

function endOfValue(bytes: Uint8Array, at: number, end: number, type: number): number | undefined {
  if (type === 1) return at + 8
  if (type === 5) return at + 4
  const value = varintAt(bytes, at, end)
  if (value === undefined) return undefined
  return type === 2 ? value.end + value.value : value.end
}

/** Undefined where it is not whole yet. */
function varintAt(bytes: Uint8Array, start: number, end: number): { readonly value: number; readonly end: number } | undefined {
  let value = 0
  for (let at = start; at < end; at++) {
    const byte = bytes[at] as number
    value += (byte & 0x7f) * 2 ** (7 * (at - start))
    if (byte < 0x80) return { value, end: at + 1 }
  }
  return undefined
}

/** An empty version is left out, as protobuf does. */
function nameFields(model: string, version: string): Uint8Array {
  return Uint8Array.from([...textField(NAME, model), ...(version === '' ? [] : textField(VERSION, version))])
}

function textField(field: number, text: string): readonly number[] {
  const bytes = utf8.encode(text)
  return [field * 8 + 2, ...(bytes.length < 0x80 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >>> 7]), ...bytes]
}

const NOTHING = new Uint8Array(0)
const utf8 = new TextEncoder()
