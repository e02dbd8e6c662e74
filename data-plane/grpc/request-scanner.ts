/**
 * Walks one message of an inference request as it passes: finds its model and its sequence, and sees to it that nothing later contradicts them.
 * Top-level protobuf tags only; tensors are skipped by their length and never decoded. In protobuf the last occurrence of a field wins, so the walk
 * goes on to each message's end: a second `model_name` behind the tensors would otherwise slip past the choice that was made by the first.
 * Invariant: whoever forwards bytes only after `feed` accepted them never lets the last byte of a refused message through.
 */
import { copyOf } from '../../core/bytes.ts'
import { hashText, mix } from '../../core/key-hash.ts'
import { limits } from '../../core/limits.ts'
import type { Reason } from '../../core/mesh-error.ts'
import { INPUTS, PromptScanner, RAW_INPUT_CONTENTS } from './prompt-scanner.ts'
import type { ScanWishes } from './scan-wishes.ts'
import { readParameter, readSequenceParameter, type Sequence } from './sequence.ts'
import { shortText } from './short-text.ts'

/** Inflates one compressed message piece by piece. It throws on bad data; the world's implementation lives in `wire/`. */
export type Inflater = { push(bytes: Uint8Array, last: boolean): readonly Uint8Array[] }
export type OpenInflater = (encoding: string) => Inflater | undefined

export type ScanRefusal = { readonly reason: Reason; readonly detail: string }

/** Longer than any model's name or version, and than any id that is worth repeating. */
const TEXT_MAX = 1024
/** Fields up to this one say how a request is routed; they are known before anything behind them leaves. */
const PRELUDE_LAST = 4
const VARINT_BYTES_MAX = 10
const TAG_MAX = 2 ** 32 - 1

type Step = 'tag' | 'varint' | 'length' | 'skip' | 'capture'

export class RequestScanner {
  /** Once known. */
  model: string | undefined
  /** The message has said everything that routing asks. */
  routable = false
  /** The message has been seen to its end, walked or, once it was refused, skipped. */
  whole = false
  refusal: ScanRefusal | undefined
  readonly #encoding: string
  readonly #openInflater: OpenInflater
  readonly #keepsId: boolean
  readonly #wishes: ScanWishes
  // The gRPC prefix and body
  #bodyLeft = 0
  #prefixAt = 0
  #compressed = false
  #inBody = false
  #inflater: Inflater | undefined
  #inflated = 0
  // The protobuf walk
  #step: Step = 'tag'
  #varint = 0
  #varintAt = 0
  #field = 0
  #skip = 0
  #wanted = 0
  #torn: number[] | undefined
  #protoLeft = 0
  #name: string | undefined
  #version: string | undefined
  #routedVersion: string | undefined
  #id: Uint8Array | undefined
  #sequenceId = ''
  #sequenceStarts = false
  #sequenceEnds = false
  #parameters: Map<string, number> | undefined
  /** Model and version are decided. */
  #settled = false
  #prompt: PromptScanner | undefined
  #inPrompt = false
  #fed = 0
  /** The name or the version stands again behind the prelude, and says the same. */
  #repeats = false
  #mayRepeat = true

  /** `keepsId`: an answer of the proxy's own will have to name the request. */
  constructor(encoding: string, openInflater: OpenInflater, keepsId: boolean, wishes: ScanWishes) {
    this.#encoding = encoding
    this.#openInflater = openInflater
    this.#keepsId = keepsId
    this.#wishes = wishes
  }

  get version(): string {
    return this.#routedVersion ?? ''
  }

  /** The request's own; empty when it has none, or one too long to repeat. */
  get id(): string {
    return this.#id === undefined ? '' : utf8.decode(this.#id)
  }

  get sequence(): Sequence | undefined {
    const id = this.#sequenceId
    return id === '' ? undefined : { id, starts: this.#sequenceStarts, ends: this.#sequenceEnds }
  }

  /** The hash of a request parameter that was wished for; undefined when the request has none, or an empty one. */
  parameter(name: string): number | undefined {
    return this.#parameters?.get(name)
  }

  /** Hashes of the prompt's blocks; undefined where the model's row does not ask for them. */
  get prompt(): Uint32Array | undefined {
    return this.#prompt?.hashes
  }

  /** True in the middle of a message. */
  get torn(): boolean {
    return this.#inBody || this.#prefixAt > 0
  }

  /** The name or the version stood again behind the prelude, as far as was walked. */
  get repeats(): boolean {
    return this.#repeats
  }

  /** The message goes on under another name, which nothing behind its prelude may say otherwise. */
  forbidRepeats(): void {
    this.#mayRepeat = false
    if (this.#repeats && this.refusal === undefined) this.#refuse('model-changed', REPEATED)
  }

  /** Walks on, and answers where the message ends or the bytes do. Afterwards `refusal` says whether these bytes may go on. */
  feed(source: Uint8Array, start: number, end: number): number {
    let at = start
    while (at < end && !this.whole) {
      if (!this.#inBody) {
        this.#onPrefixByte(source[at++] as number)
        if (this.#inBody || this.refusal === undefined) continue
        return at
      }
      // Where the budget of the prompt ends does not depend on how the bytes are cut.
      const budget = limits.promptScanMax - this.#fed
      const piece = Math.min(this.#bodyLeft, end - at, budget > 0 ? budget : Number.POSITIVE_INFINITY)
      this.#bodyLeft -= piece
      this.#fed += piece
      if (this.refusal === undefined) {
        if (this.#inflater === undefined) this.#walk(source, at, at + piece)
        else this.#inflate(source, at, at + piece)
      }
      at += piece
      if (this.#settled && (this.#prompt?.done !== false || this.#fed >= limits.promptScanMax)) this.routable = true
      if (this.#bodyLeft === 0) this.#endMessage()
    }
    return at
  }

  #onPrefixByte(byte: number): void {
    if (this.#prefixAt === 0) {
      if (byte > 1) return this.#refuse('illegal-message', 'the first byte of a gRPC message is 0 or 1')
      this.#compressed = byte === 1
      this.#bodyLeft = 0
    } else this.#bodyLeft = this.#bodyLeft * 256 + byte
    if (++this.#prefixAt === 5) this.#beginMessage()
  }

  #beginMessage(): void {
    this.#prefixAt = 0
    this.#inBody = true
    this.#protoLeft = this.#bodyLeft
    if (this.#compressed) this.#openCompressed()
    if (this.#bodyLeft === 0) this.#endMessage()
  }

  #openCompressed(): void {
    if (this.#encoding === 'identity') return this.#refuse('illegal-message', 'a compressed message in a request without grpc-encoding')
    this.#inflater = this.#openInflater(this.#encoding)
    // How long the inflated message is shows only at its end.
    this.#protoLeft = Number.POSITIVE_INFINITY
    if (this.#inflater === undefined)
      this.#refuse('encoding-unknown', `grpc-encoding ${this.#encoding}: there are gzip, deflate and identity`)
  }

  #inflate(source: Uint8Array, start: number, end: number): void {
    let pieces: readonly Uint8Array[]
    try {
      pieces = (this.#inflater as Inflater).push(source.subarray(start, end), this.#bodyLeft === 0)
    } catch {
      return this.#refuse('illegal-message', `the message is not ${this.#encoding}`)
    }
    for (const piece of pieces) {
      this.#inflated += piece.length
      if (this.#inflated > limits.inflatedMax) return this.#refuse('illegal-message', 'the compressed message is too large when inflated')
      this.#walk(piece, 0, piece.length)
      if (this.refusal !== undefined) return
    }
  }

  #endMessage(): void {
    this.#inBody = false
    this.whole = true
    if (this.refusal !== undefined) return
    if (this.#step !== 'tag' || this.#varintAt > 0) return this.#refuse('illegal-message', 'the message ends in the middle of a field')
    this.#endPrelude()
    this.routable = this.refusal === undefined
  }

  /** All fields that route the current message have been seen, or it is over. */
  #endPrelude(): void {
    if (this.#name === undefined || this.#name === '') return this.#refuse('model-missing', 'the message names no model: set model_name')
    if (this.#settled) return
    this.model = this.#name
    this.#routedVersion = this.#version
    this.#settled = true
    const wish = this.#wishes.prompts.get(this.model)
    if (wish === undefined) return
    const adapter = wish.adapterParameter === undefined ? undefined : this.parameter(wish.adapterParameter)
    this.#prompt = new PromptScanner(wish, adapter === undefined ? wish.seed : mix(wish.seed ^ adapter))
  }

  #walk(source: Uint8Array, start: number, end: number): void {
    let at = start
    this.#protoLeft -= end - start
    while (at < end && this.refusal === undefined) {
      switch (this.#step) {
        case 'skip': {
          const piece = Math.min(this.#skip, end - at)
          if (this.#inPrompt && !this.routable) this.#prompt?.feed(source, at, at + piece)
          this.#skip -= piece
          at += piece
          if (this.#skip === 0) this.#endSkip()
          break
        }
        case 'capture': {
          const piece = Math.min(this.#wanted, end - at)
          this.#capture(source, at, at + piece)
          at += piece
          break
        }
        case 'varint':
          if (((source[at++] as number) & 0x80) === 0) this.#step = 'tag'
          else if (++this.#varintAt >= VARINT_BYTES_MAX) this.#refuse('illegal-message', 'a number that does not end')
          if (this.#step === 'tag') this.#varintAt = 0
          break
        default: {
          const byte = source[at++] as number
          this.#varint += (byte & 0x7f) * 2 ** (7 * this.#varintAt)
          if ((byte & 0x80) !== 0) {
            if (++this.#varintAt >= 5) this.#refuse('illegal-message', 'a tag or length that does not end')
            break
          }
          const value = this.#varint
          this.#varint = 0
          this.#varintAt = 0
          if (this.#step === 'tag') this.#onTag(value)
          else this.#onLength(value, end - at)
        }
      }
    }
  }

  #onTag(tag: number): void {
    this.#field = Math.floor(tag / 8)
    // Some readers drop the bits beyond a tag's 32: a field that is passed over here would be a name to them.
    if (this.#field === 0 || tag > TAG_MAX) return this.#refuse('illegal-message', 'a field of a number that protobuf does not have')
    if (this.#field > PRELUDE_LAST && !this.#settled && this.#name !== undefined) this.#endPrelude()
    switch (tag % 8) {
      case 0:
        this.#step = 'varint'
        break
      case 1:
        this.#step = 'skip'
        this.#skip = 8
        break
      case 2:
        this.#step = 'length'
        break
      case 5:
        this.#step = 'skip'
        this.#skip = 4
        break
      default:
        return this.#refuse('illegal-message', 'a field of a type that protobuf does not have here')
    }
    if (this.#field <= PRELUDE_LAST && this.#step !== 'length') return this.#refuse('illegal-message', `field ${this.#field} is not text`)
    if (this.#field === PRELUDE_LAST && this.#settled)
      this.#refuse('model-changed', 'parameters come behind the tensors, where they can no longer be heeded: put them before the inputs')
  }

  #onLength(length: number, here: number): void {
    if (length > here + this.#protoLeft) return this.#refuse('illegal-message', 'a field that is longer than its message')
    const field = this.#field
    if (field === 1 || field === 2 || (length <= TEXT_MAX && (field === PRELUDE_LAST || (field === 3 && this.#keepsId)))) {
      if (length > TEXT_MAX) return this.#refuse('illegal-message', `field ${field} is longer than ${TEXT_MAX} bytes`)
      this.#torn = undefined
      this.#wanted = length
      this.#step = 'capture'
      if (length === 0) this.#captured(NOTHING, 0, 0)
      return
    }
    this.#skip = length
    this.#step = 'skip'
    if (this.#prompt?.done === false && !this.routable && (field === INPUTS || field === RAW_INPUT_CONTENTS)) {
      this.#inPrompt = true
      this.#prompt.begin(field)
    }
    if (length === 0) this.#endSkip()
  }

  #endSkip(): void {
    this.#step = 'tag'
    if (!this.#inPrompt) return
    this.#inPrompt = false
    this.#prompt?.endField()
  }

  /** A text mostly lies whole in one read; one that does not is put together. */
  #capture(source: Uint8Array, start: number, end: number): void {
    this.#wanted -= end - start
    if (this.#torn === undefined && this.#wanted === 0) return this.#captured(source, start, end)
    this.#torn = [...(this.#torn ?? []), ...source.subarray(start, end)]
    if (this.#wanted === 0) this.#captured(Uint8Array.from(this.#torn), 0, this.#torn.length)
  }

  #captured(source: Uint8Array, start: number, end: number): void {
    this.#step = 'tag'
    switch (this.#field) {
      case 1:
        return this.#onName(shortText(source, start, end))
      case 2:
        return this.#onVersion(shortText(source, start, end))
      case 3:
        this.#id = copyOf(source, start, end)
        return
      default:
        return this.#onParameter(source, start, end)
    }
  }

  #onName(text: string): void {
    this.#name = text
    if (this.#settled) this.#onRepeat()
    if (this.#settled && text !== this.model)
      this.#refuse('model-changed', `model_name changes from ${printable(this.model)} to ${printable(text)} within one message`)
  }

  #onVersion(text: string): void {
    this.#version = text
    if (this.#settled) this.#onRepeat()
    if (this.#settled && text !== this.version) this.#refuse('model-changed', 'model_version changes within one message')
  }

  #onRepeat(): void {
    this.#repeats = true
    if (!this.#mayRepeat) this.#refuse('model-changed', REPEATED)
  }

  #onParameter(source: Uint8Array, start: number, end: number): void {
    if (this.#wishes.parameters.length > 0) this.#onWished(source, start, end)
    const parameter = readSequenceParameter(source, start, end)
    if (parameter === undefined) return
    const { key, value } = parameter
    if (key === 'sequence_id') this.#sequenceId = value === '0' ? '' : value
    else if (key === 'sequence_start') this.#sequenceStarts = value === '1'
    else this.#sequenceEnds = value === '1'
  }

  #onWished(source: Uint8Array, start: number, end: number): void {
    const parameter = readParameter(source, start, end, this.#wishes.parameters)
    if (parameter === undefined) return
    this.#parameters ??= new Map()
    if (parameter.value === '') this.#parameters.delete(parameter.key)
    else this.#parameters.set(parameter.key, mix(hashText(parameter.value)))
  }

  #refuse(reason: Reason, detail: string): void {
    this.refusal = { reason, detail }
  }
}

const REPEATED =
  'model_name or model_version stands again behind the tensors, and this model goes by another name: write each once, before them'
const NOTHING = new Uint8Array(0)
const utf8 = new TextDecoder()
const printable = (text: string | undefined): string => JSON.stringify(text ?? '')
