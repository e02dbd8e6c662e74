import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { openInflater } from '../wire/inflate.ts'
import { PromptScanner, RAW_INPUT_CONTENTS } from './prompt-scanner.ts'
import { RequestScanner } from './request-scanner.ts'
import { wishesOf } from './scan-wishes.ts'

const BLOCK = limits.promptBlock
const letters = (length: number, seed = 1): string => {
  let state = seed
  return Array.from({ length }, () => {
    state = (state * 48_271) % 2_147_483_647
    return String.fromCharCode(97 + (state % 26))
  }).join('')
}
type Input = ModelInferRequest['inputs'][number]
const input = (name: string, datatype: string, more: Partial<Input> = {}): Input => ({
  ...{ name, datatype, shape: [1n], parameters: { p: { parameterChoice: { $case: 'stringParam', value: 'v' } } }, contents: undefined },
  ...more,
})
const contents = (...texts: readonly string[]): Input['contents'] => ({
  ...{ boolContents: [], intContents: [], int64Contents: [], uintContents: [], uint64Contents: [], fp32Contents: [], fp64Contents: [] },
  bytesContents: texts.map((text) => Buffer.from(text)),
})
const raw = (...texts: readonly string[]): Buffer =>
  Buffer.concat(
    texts.flatMap((text) => {
      const length = Buffer.alloc(4)
      length.writeUInt32LE(Buffer.byteLength(text))
      return [length, Buffer.from(text)]
    }),
  )
const framed = (body: Uint8Array, flag = 0): Buffer => {
  const bytes = Buffer.alloc(5 + body.length)
  bytes[0] = flag
  bytes.writeUInt32BE(body.length, 1)
  bytes.set(body, 5)
  return bytes
}
const request = (fields: Partial<ModelInferRequest>): Buffer =>
  framed(ModelInferRequest.encode(ModelInferRequest.create({ modelName: 'llm', ...fields })).finish())

const UNNAMED = wishesOf([{ name: 'llm', policy: 'PREFIX' }])
const NAMED = wishesOf([{ name: 'llm', policy: 'PREFIX', prompt: { input: 'text_input' } }])

/** Reads lie in memory that the next one overwrites. */
function scan(bytes: Buffer, step = bytes.length, wishes = UNNAMED, encoding = 'identity'): RequestScanner {
  const scanner = new RequestScanner(encoding, openInflater, true, wishes)
  const read = Buffer.alloc(step)
  for (let at = 0; at < bytes.length; at += step) {
    const length = bytes.copy(read, 0, at, at + step)
    scanner.feed(read, 0, length)
    read.fill(0xee)
  }
  return scanner
}
const hashesOf = (bytes: Buffer, step?: number, wishes = UNNAMED): number[] => {
  const { prompt, refusal, routable } = scan(bytes, step, wishes)
  expect([refusal, routable]).toEqual([undefined, true])
  return [...(prompt ?? [])]
}

const PROMPT = letters(1_000)
const FORMS: readonly (readonly [string, Partial<ModelInferRequest>])[] = [
  ['in its contents', { inputs: [input('text_input', 'BYTES', { contents: contents(PROMPT) })] }],
  ['in its raw contents', { inputs: [input('text_input', 'BYTES')], rawInputContents: [raw(PROMPT)] }],
  [
    'behind other tensors',
    {
      inputs: [
        input('max_tokens', 'INT32', { contents: { ...(contents() as object), intContents: [5, 70_000] } as Input['contents'] }),
        input('text_input', 'BYTES', { contents: contents(PROMPT) }),
      ],
      outputs: [{ name: 'text_output', parameters: {} }],
    },
  ],
  [
    'behind other raw tensors',
    {
      inputs: [input('max_tokens', 'INT32'), input('text_input', 'BYTES'), input('stop', 'BYTES')],
      rawInputContents: [Buffer.alloc(4), raw(PROMPT), raw('stop')],
    },
  ],
  ['as the first of several', { inputs: [input('text_input', 'BYTES', { contents: contents(PROMPT, letters(500, 3)) })] }],
  ['as the first of several raw ones', { inputs: [input('text_input', 'BYTES')], rawInputContents: [raw(PROMPT, letters(500, 3))] }],
]

describe.each(FORMS)('a prompt %s', (_, fields) => {
  test('has one hash for each whole block, the same in whatever form and however it is cut', () => {
    const bytes = request(fields)
    const whole = hashesOf(bytes)
    expect(whole).toHaveLength(Math.floor(PROMPT.length / BLOCK))
    expect(whole).toEqual(hashesOf(request(FORMS[0]?.[1] ?? {})))
    for (const step of [1, 2, 3, 5, 7, 11, 64, 127, 128, 129, 333]) expect(hashesOf(bytes, step)).toEqual(whole)
    expect(hashesOf(bytes, 13, NAMED)).toEqual(whole)
    const zipped = framed(gzipSync(bytes.subarray(5)), 1)
    expect([...(scan(zipped, 17, UNNAMED, 'gzip').prompt ?? [])]).toEqual(whole)
  })
})

const ask = (text: string): Buffer => request({ inputs: [input('text_input', 'BYTES', { contents: contents(text) })] })

test('two prompts have the same hashes as far as they are the same, and no further', () => {
  for (const same of [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 5, 7 * BLOCK]) {
    const [a, b] = [letters(1_024), `${letters(same)}${letters(1_024 - same, 99).toUpperCase()}`].map((text) => hashesOf(ask(text)))
    const shared = a?.findIndex((hash, at) => hash !== b?.[at])
    expect(shared === -1 ? a?.length : shared).toBe(Math.floor(same / BLOCK))
  }
})

test('another model has other hashes', () => {
  const rows = wishesOf([
    { name: 'llm', policy: 'PREFIX' },
    { name: 'other', policy: 'PREFIX' },
  ])
  const other = request({ modelName: 'other', inputs: [input('text_input', 'BYTES', { contents: contents(PROMPT) })] })
  expect(hashesOf(other, 100, rows)[0]).not.toBe(hashesOf(ask(PROMPT))[0])
})

test('under an alias, or through a split, a prompt has the hashes of the model that is meant; for an adapter it has others', () => {
  const rows = wishesOf([
    { name: 'llm', policy: 'PREFIX', aliases: ['chat'], adapterParameter: 'lora' },
    { name: 'front', policy: 'LEAST_WAIT', split: [{ model: 'llm', weight: 1 }] },
  ])
  const inputs = [input('text_input', 'BYTES', { contents: contents(PROMPT) })]
  const lora = { lora: { parameterChoice: { $case: 'stringParam' as const, value: 'fr' } } }
  const plain = hashesOf(request({ inputs }), 50, rows)
  for (const modelName of ['chat', 'front']) expect(hashesOf(request({ modelName, inputs }), 50, rows)).toEqual(plain)
  const adapted = hashesOf(request({ parameters: lora, inputs }), 50, rows)
  expect(adapted).toHaveLength(plain.length)
  for (const [at, hash] of adapted.entries()) expect(hash).not.toBe(plain[at])
})

test.each<[string, Partial<ModelInferRequest>]>([
  ['no tensor', {}],
  ['no tensor of text', { inputs: [input('x', 'FP32')], rawInputContents: [Buffer.alloc(4_000)] }],
  ['less than a block', { inputs: [input('text_input', 'BYTES', { contents: contents('hello') })] }],
  ['nothing', { inputs: [input('text_input', 'BYTES', { contents: contents('') })] }],
  ['a length that lies', { inputs: [input('text_input', 'BYTES')], rawInputContents: [Buffer.from([255, 255, 255, 255, 1, 2])] }],
  ['half a length', { inputs: [input('text_input', 'BYTES')], rawInputContents: [Buffer.from([9, 9])] }],
])('a request with %s has no prompt, and is routed all the same', (_, fields) => {
  for (const step of [1, 9, 10_000]) expect(hashesOf(request(fields), step)).toEqual([])
})

test('the tensor that a row names counts, whatever comes before it; another one does not', () => {
  const both = (name: string): Buffer =>
    request({
      inputs: [input('system', 'BYTES', { contents: contents(letters(600, 5)) }), input(name, 'BYTES', { contents: contents(PROMPT) })],
    })
  for (const step of [1, 50, 10_000]) {
    expect(hashesOf(both('text_input'), step, NAMED)).toEqual(hashesOf(ask(PROMPT)))
    expect(hashesOf(both('text_inputs'), step, NAMED)).toEqual([])
    expect(hashesOf(both('text_input'), step)).toEqual(hashesOf(ask(letters(600, 5))))
  }
})

test('routing waits for the prompt, as long as it counts and within its budget; of other models it does not wait', () => {
  const routableAt = (bytes: Buffer, wishes = UNNAMED): number => {
    const scanner = new RequestScanner('identity', openInflater, true, wishes)
    for (let at = 0; at < bytes.length; at++) {
      scanner.feed(bytes, at, at + 1)
      if (scanner.routable) return at + 1
    }
    return -1
  }
  const short = ask(PROMPT)
  const end = short.indexOf(PROMPT) + PROMPT.length
  expect(routableAt(short)).toBeLessThanOrEqual(end)
  expect(routableAt(short)).toBeGreaterThan(end - BLOCK)
  expect(routableAt(short, wishesOf([]))).toBeLessThan(20)
  const counts = BLOCK * limits.promptBlocksMax
  expect(routableAt(ask(letters(200_000)))).toBeLessThan(counts + 200)
  const late = request({
    inputs: [input('image', 'UINT8'), input('text_input', 'BYTES')],
    rawInputContents: [Buffer.alloc(80_000), raw(PROMPT)],
  })
  expect(routableAt(late)).toBe(5 + limits.promptScanMax)
  expect(hashesOf(ask(letters(200_000)))).toHaveLength(limits.promptBlocksMax)
})

test('what routing decided by stays: another name behind the prompt is refused', () => {
  const name = Buffer.from([0x0a, 1, 0x78])
  const body = Buffer.concat([ask(PROMPT).subarray(5), name])
  for (const step of [1, 10, 5_000]) expect(scan(framed(body), step).refusal?.reason).toBe('model-changed')
})

test('bytes that are no tensor never throw, and read the same however they are cut', () => {
  let seed = 11
  const byte = (): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return (seed >>> 16) & 0xff
  }
  const good = ModelInferRequest.encode(
    ModelInferRequest.create({ inputs: [input('text_input', 'BYTES', { contents: contents(PROMPT) })] }),
  ).finish()
  for (let round = 0; round < 3_000; round++) {
    const bytes = round % 2 === 0 ? Uint8Array.from({ length: byte() }, byte) : Uint8Array.from(good)
    for (let hits = byte() % 4; hits > 0; hits--) bytes[(byte() * 256 + byte()) % bytes.length] = byte()
    const field = round % 3 === 0 ? RAW_INPUT_CONTENTS : 5
    const read = (step: number): number[] => {
      const scanner = new PromptScanner({ seed: 1 }, 1)
      for (const one of [5, field]) {
        scanner.begin(one)
        for (let at = 0; at < bytes.length; at += step) scanner.feed(bytes, at, Math.min(at + step, bytes.length))
        scanner.endField()
      }
      return [...scanner.hashes]
    }
    expect(read(1 + (byte() % 40))).toEqual(read(10_000))
  }
})
