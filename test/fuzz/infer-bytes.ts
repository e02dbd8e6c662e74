/** Inference requests as bytes: as a client's library writes them, as none would, and torn; with or without a gRPC prefix and compression. */
import { deflateSync, gzipSync } from 'node:zlib'
import type { Draw } from './draw.ts'
import { NOISE } from './sent-log.ts'

export type Facts = { readonly model: string; readonly version: string; readonly id: string; readonly sequence: string }
/** `facts`: of a request that has to be accepted; undefined where nobody promises that. */
export type Request = { readonly body: Buffer; readonly facts: Facts | undefined }

export const NAMES = ['llm', 'mühle', 'm', 'a/b:c', `long-${'n'.repeat(200)}`, 'モデル']
const VARINT_GROUP = 128
/** As a number that does not say so in a few bytes: seven bits a byte, with idle bytes behind. */
export function varint(value: number, idle = 0): Buffer {
  const bytes: number[] = []
  let rest = value
  for (; rest >= VARINT_GROUP; rest = Math.floor(rest / VARINT_GROUP)) bytes.push((rest % VARINT_GROUP) | 0x80)
  bytes.push(rest)
  for (let i = 0; i < idle; i++) {
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) | 0x80
    bytes.push(0)
  }
  return Buffer.from(bytes)
}

export const lengthField = (number: number, bytes: Uint8Array): Buffer =>
  Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes])
const textField = (number: number, text: string): Buffer => lengthField(number, Buffer.from(text))

const parameter = (key: string, value: Uint8Array): Buffer => lengthField(4, Buffer.concat([textField(1, key), lengthField(2, value)]))

function noise(draw: Draw, most: number): Uint8Array {
  const length = draw.size(most)
  const from = draw.below(NOISE.length - length)
  return NOISE.subarray(from, from + length)
}

/** An input of datatype BYTES, with or without its contents. */
function textTensor(draw: Draw): Buffer {
  const shape = [
    textField(1, draw.pick(['prompt', 'text'])),
    textField(2, draw.pick(['BYTES', 'BYTES', 'INT32'])),
    lengthField(3, varint(1)),
  ]
  if (draw.oneIn(3)) return lengthField(5, Buffer.concat(shape))
  const element = lengthField(8, noise(draw, draw.oneIn(10) ? 60_000 : 2_000))
  return lengthField(5, Buffer.concat([...shape, lengthField(5, draw.oneIn(3) ? Buffer.concat([element, element]) : element)]))
}

/** Fields as any client may send them: routing in front, in any order, then tensors. */
function legal(draw: Draw): Request {
  const facts = {
    model: draw.pick(NAMES),
    version: draw.oneIn(2) ? '' : String(draw.below(30)),
    id: draw.oneIn(2) ? '' : `id-${draw.below(1_000)}`,
    sequence: draw.oneIn(2) ? '' : draw.oneIn(2) ? `s${draw.below(100)}` : String(1 + draw.below(1 << 30)),
  }
  const { model, version, id, sequence } = facts
  const front = [textField(1, model)]
  if (version !== '' || draw.oneIn(4)) front.push(textField(2, version))
  if (id !== '' || draw.oneIn(4)) front.push(textField(3, id))
  if (/^\d/.test(sequence)) front.push(parameter('sequence_id', Buffer.concat([Buffer.from([0x10]), varint(Number(sequence))])))
  else if (sequence !== '') front.push(parameter('sequence_id', textField(3, sequence)))
  if (draw.oneIn(3)) front.push(parameter('priority', Buffer.from([0x10, draw.below(100)])))
  if (draw.oneIn(3)) front.push(parameter('sequence_start', Buffer.from([0x08, 1])))
  front.sort(() => draw.below(3) - 1)
  const tensors = Array.from({ length: draw.below(4) }, () => {
    if (draw.oneIn(4)) return Buffer.concat([varint(draw.between(8, 500) * 8), varint(draw.bits())])
    if (draw.oneIn(4)) return lengthField(draw.pick([5, 6]), textField(1, 'tensor'))
    if (draw.oneIn(4)) return textTensor(draw)
    return lengthField(draw.pick([7, 7, 9]), noise(draw, draw.oneIn(20) ? 200_000 : 300))
  })
  const again = draw.oneIn(6) ? [textField(1, model)] : []
  return { body: Buffer.concat([...front, ...tensors, ...again]), facts }
}

/** Fields of every number, type and length, some of which say what they are not. */
function odd(draw: Draw): Buffer {
  const fields = Array.from({ length: draw.below(8) }, (): Buffer => {
    const number = draw.oneIn(10) ? draw.below(1 << 28) : draw.below(9)
    const idle = draw.oneIn(10) ? draw.below(5) : 0
    switch (draw.below(8)) {
      case 0:
        return Buffer.concat([varint(number * 8, idle), noise(draw, 12)])
      case 1:
        return Buffer.concat([varint(number * 8 + draw.pick([1, 5]), idle), noise(draw, 9)])
      case 2:
        return varint(number * 8 + draw.pick([3, 4, 6, 7]), idle)
      case 3:
        return Buffer.concat([varint(number * 8 + 2, idle), varint(draw.size(1 << 19)), noise(draw, 40)])
      case 4:
        return parameter(draw.pick(['sequence_id', 'sequence_start', 'other', '']), noise(draw, 20))
      default:
        return Buffer.concat([varint(number * 8 + 2, idle), lengthField(1, Buffer.from(draw.pick(NAMES))).subarray(1)])
    }
  })
  return Buffer.concat(fields)
}

export function drawRequest(draw: Draw): Request {
  const request = legal(draw)
  if (draw.oneIn(2)) return request
  const parts = draw.oneIn(2) ? [request.body, odd(draw)] : [odd(draw), request.body]
  const body = draw.oneIn(3) ? odd(draw) : draw.oneIn(2) ? Buffer.concat(parts) : Buffer.from(request.body)
  for (let i = draw.below(4); i > 0 && body.length > 0; i--) body[draw.below(body.length)] = draw.below(256)
  return { body: draw.oneIn(3) ? body.subarray(0, draw.below(body.length + 1)) : body, facts: undefined }
}

const COMPRESS = { gzip: gzipSync, deflate: deflateSync } as const
export type Encoding = 'identity' | keyof typeof COMPRESS

/** With its gRPC prefix, and compressed where an encoding is named. */
export function framed(body: Uint8Array, encoding: Encoding): Buffer {
  const inner = encoding === 'identity' ? body : COMPRESS[encoding](body)
  const prefix = Buffer.alloc(5)
  prefix[0] = encoding === 'identity' ? 0 : 1
  prefix.writeUInt32BE(inner.length, 1)
  return Buffer.concat([prefix, inner])
}
