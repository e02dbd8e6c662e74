/**
 * Finds the prompt in the tensors of a KServe request while they pass, and hashes it block by block. Each hash covers its block and all before it, so the
 * hashes of two requests are equal as far as their prompts are. The prompt is the first element of the tensor that a row names, or else of the first tensor
 * of datatype BYTES, whether it lies in the tensor's contents or in raw_input_contents. Nothing of the text is kept but 32 bits a block.
 * Invariant: wherever the bytes are cut the hashes are the same, and nothing that is no tensor makes it throw: such a request has no prompt.
 */
import { mix } from '../../core/key-hash.ts'
import { limits } from '../../core/limits.ts'

export type PromptWish = {
  /** Of the model that is meant, whatever it is called: prompts of different models have nothing in common. */
  readonly seed: number
  /** The tensor's name, in UTF-8; absent: the first of datatype BYTES. */
  readonly input?: Uint8Array | undefined
  /** The request parameter that names an adapter: what a server caches for one is of no use to another. */
  readonly adapterParameter?: string | undefined
}

/** Fields of ModelInferRequest. */
export const INPUTS = 5
export const RAW_INPUT_CONTENTS = 7

/** Fields of InferInputTensor, and of its contents. */
const NAME = 1
const DATATYPE = 2
const CONTENTS = 5
const BYTES_CONTENTS = 8
const BYTES = Uint8Array.from('BYTES', (letter) => letter.charCodeAt(0))
/** An element of a raw tensor of datatype BYTES begins with its length, in little-endian order. */
const RAW_LENGTH_BYTES = 4

type Step = 'tag' | 'varint' | 'length' | 'skip' | 'compare' | 'text'

export class PromptScanner {
  /** There is no more to find: the prompt is over, or as much of it as counts. */
  done = false
  readonly #wish: PromptWish
  readonly #blocks: BlockHashes
  #raw = false
  /** Inputs and raw contents that are over, and which of them is the prompt's. */
  #inputs = 0
  #raws = 0
  #promptAt = -1
  // Within one input
  #step: Step = 'tag'
  #number = 0
  #numberBytes = 0
  #field = 0
  /** Of the value that is passing. */
  #left = 0
  /** Of the contents that the walk is in. */
  #contentsLeft = 0
  #compared: Uint8Array = BYTES
  #comparedAt = 0
  #equal = false
  #isNamed = false
  #isBytes = false

  constructor(wish: PromptWish, seed: number) {
    this.#wish = wish
    this.#blocks = new BlockHashes(seed)
  }

  /** One hash for each whole block so far. */
  get hashes(): Uint32Array {
    return this.#blocks.hashes.subarray(0, this.#blocks.count)
  }

  /** One of the two fields begins. */
  begin(field: number): void {
    this.#raw = field === RAW_INPUT_CONTENTS
    this.#step = 'tag'
    this.#number = 0
    this.#numberBytes = 0
    this.#contentsLeft = 0
    this.#isNamed = false
    this.#isBytes = false
  }

  /** Bytes of the field that began last. */
  feed(source: Uint8Array, start: number, end: number): void {
    if (this.done) return
    if (this.#raw) this.#feedRaw(source, start, end)
    else for (let at = start; at < end && !this.done; ) at = this.#walk(source, at, end)
  }

  endField(): void {
    if (this.#raw) {
      if (this.#raws++ === this.#promptAt) this.done = true
      return
    }
    const chosen = this.#wish.input === undefined ? this.#isBytes : this.#isNamed
    if (chosen && this.#promptAt < 0) this.#promptAt = this.#inputs
    this.#inputs++
  }

  #feedRaw(source: Uint8Array, start: number, end: number): void {
    if (this.#raws !== this.#promptAt) return
    let at = start
    for (; this.#numberBytes < RAW_LENGTH_BYTES && at < end; at++) this.#number += (source[at] as number) * 2 ** (8 * this.#numberBytes++)
    if (this.#numberBytes < RAW_LENGTH_BYTES) return
    if (this.#step !== 'text') this.#beginText(this.#number)
    this.#text(source, at, end)
  }

  /** One step within an input; answers how far it came. */
  #walk(source: Uint8Array, start: number, end: number): number {
    const inContents = this.#contentsLeft > 0
    const stop = inContents ? Math.min(end, start + this.#contentsLeft) : end
    const at = this.#takeStep(source, start, stop, inContents)
    if (inContents) {
      this.#contentsLeft -= at - start
      if (this.#contentsLeft === 0 && (this.#step !== 'tag' || this.#numberBytes > 0)) this.done = true
    }
    return at
  }

  #takeStep(source: Uint8Array, at: number, stop: number, inContents: boolean): number {
    switch (this.#step) {
      case 'skip':
        return this.#pass(at, stop)
      case 'compare': {
        const until = this.#pass(at, stop)
        for (let i = at; i < until; i++) if (source[i] !== this.#compared[this.#comparedAt++]) this.#equal = false
        if (this.#left === 0) this.#onCompared()
        return until
      }
      case 'text':
        return this.#text(source, at, stop)
      default: {
        const byte = source[at] as number
        this.#number += (byte & 0x7f) * 2 ** (7 * this.#numberBytes)
        if (byte < 0x80) this.#onNumber(inContents)
        // A tag or a length that does not end is the server's to refuse; ten bytes are the longest number.
        else if (++this.#numberBytes >= (this.#step === 'varint' ? 10 : 5)) this.done = true
        return at + 1
      }
    }
  }

  #onNumber(inContents: boolean): void {
    const value = this.#number
    this.#number = 0
    this.#numberBytes = 0
    if (this.#step === 'tag') this.#onTag(value)
    else if (this.#step === 'varint') this.#step = 'tag'
    else this.#onLength(value, inContents)
  }

  #onTag(tag: number): void {
    this.#field = Math.floor(tag / 8)
    const wire = tag % 8
    if (wire === 0) this.#step = 'varint'
    else if (wire === 2) this.#step = 'length'
    else if (wire === 1 || wire === 5) this.#skip(wire === 1 ? 8 : 4)
    else this.done = true
  }

  #onLength(length: number, inContents: boolean): void {
    if (inContents) {
      const isPrompt = this.#field === BYTES_CONTENTS && (this.#wish.input === undefined || this.#isNamed)
      if (!isPrompt) return this.#skip(length)
      return this.#beginText(length)
    }
    if (this.#field === CONTENTS && length > 0) {
      this.#contentsLeft = length
      this.#step = 'tag'
    } else if (this.#field === NAME && this.#wish.input !== undefined) this.#compare(this.#wish.input, length)
    else if (this.#field === DATATYPE) this.#compare(BYTES, length)
    else this.#skip(length)
  }

  #skip(length: number): void {
    this.#left = length
    this.#step = length === 0 ? 'tag' : 'skip'
  }

  #compare(expected: Uint8Array, length: number): void {
    this.#compared = expected
    this.#comparedAt = 0
    this.#equal = length === expected.length
    this.#left = length
    this.#step = length === 0 ? 'tag' : 'compare'
  }

  #onCompared(): void {
    if (this.#field === NAME) this.#isNamed = this.#equal
    else this.#isBytes = this.#equal
  }

  #beginText(length: number): void {
    this.#blocks.expect(length)
    this.#left = length
    this.#step = 'text'
    if (this.#blocks.complete) this.done = true
  }

  #text(source: Uint8Array, at: number, stop: number): number {
    const until = Math.min(stop, at + this.#left)
    this.#left -= until - at
    this.#blocks.feed(source, at, until)
    if (this.#left === 0 || this.#blocks.complete) this.done = true
    return until
  }

  #pass(at: number, stop: number): number {
    const until = Math.min(stop, at + this.#left)
    this.#left -= until - at
    if (this.#left === 0) this.#step = 'tag'
    return until
  }
}

/** Words of four bytes at a time, as MurmurHash3 mixes them: a prompt of 32 KiB takes some seventeen microseconds. */
class BlockHashes {
  hashes = NONE
  count = 0
  #state: number
  #blockBytes = 0
  /** The beginning of a word of which the rest lies in the next read. */
  #word = 0
  #wordBytes = 0

  constructor(seed: number) {
    this.#state = seed
  }

  /** The rest is less than a block, or more than counts. */
  get complete(): boolean {
    return this.count === this.hashes.length
  }

  expect(length: number): void {
    const blocks = Math.min(limits.promptBlocksMax, Math.floor(length / limits.promptBlock))
    if (blocks > 0) this.hashes = new Uint32Array(blocks)
  }

  feed(source: Uint8Array, start: number, end: number): void {
    let at = start
    while (at < end && this.count < this.hashes.length) {
      if (this.#wordBytes === 0 && end - at >= 4) at = this.#takeWords(source, at, end)
      else {
        this.#word |= (source[at++] as number) << (8 * this.#wordBytes)
        if (++this.#wordBytes < 4) continue
        this.#state = mixWord(this.#state, this.#word)
        this.#word = 0
        this.#wordBytes = 0
        this.#blockBytes += 4
      }
      if (this.#blockBytes < limits.promptBlock) continue
      this.#blockBytes = 0
      this.hashes[this.count++] = mix(this.#state)
    }
  }

  /** Whole words of the current block. */
  #takeWords(source: Uint8Array, start: number, most: number): number {
    const stop = start + (Math.min(most - start, limits.promptBlock - this.#blockBytes) & ~3)
    let state = this.#state
    const words = viewOf(source)
    const end = source.byteOffset + stop
    for (let at = source.byteOffset + start; at < end; at += 4) state = mixWord(state, words.getInt32(at, true))
    this.#state = state
    this.#blockBytes += stop - start
    return stop
  }
}

let view: DataView = new DataView(new ArrayBuffer(0))

/** Reads come in one buffer as a rule. */
function viewOf({ buffer }: Uint8Array): DataView {
  if (view.buffer !== buffer) view = new DataView(buffer)
  return view
}

function mixWord(state: number, word: number): number {
  let mixed = Math.imul(word, 0xcc9e2d51)
  mixed = Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
  const turned = state ^ mixed
  return (Math.imul((turned << 13) | (turned >>> 19), 5) + 0xe6546b64) | 0
}

const NONE = new Uint32Array(0)
