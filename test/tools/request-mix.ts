/**
 * A seeded mix of requests of every kind that a proxy meets: unary of all sizes, streams, wrong ones, ones that their client gives up in the middle of
 * whatever it was doing. The same seed plays the same mix. An outcome says all that a client can see of an answer, so that two can be compared.
 */
import { createHash } from 'node:crypto'
import { seededDraw } from '../../sim/model-server/queue.ts'
import { connectGrpc, type GrpcSession } from './grpc-session.ts'
import { framed } from './raw-h2.ts'
import { MODEL_INFER, MODEL_STREAM_INFER, type TokenAsk, tokenRequest } from './sim-server.ts'
import { payloadOf, UNARY } from './test-service.ts'

export const KINDS = ['echo', 'infer', 'stream', 'wrong', 'refused', 'cancelled'] as const
export type Kind = (typeof KINDS)[number]

/** When the client gives up: in the middle of its upload, with its request just sent, or at this message of the answer. */
export type GiveUp = 'in the upload' | 'at once' | number

export type MixedRequest = {
  readonly kind: Kind
  readonly path: string
  readonly message: Uint8Array
  readonly giveUp?: GiveUp
  /** Of a request that the proxy refuses itself, so that no server's answer can be compared. */
  readonly refusedWith?: number
}

/** Digests of the messages stand for them. */
export type Outcome = {
  readonly status: number | 'none'
  readonly details: string
  readonly torn: boolean
  readonly messages: readonly string[]
}

const SIZE_MAX = 300_000
const TOKENS_STREAM_MAX = 100
const TOKENS_UNARY_MAX = 2_000
const WEIGHTS: Readonly<Record<Kind, number>> = { echo: 25, infer: 25, stream: 25, wrong: 8, refused: 5, cancelled: 12 }

const KSERVE = '/inference.GRPCInferenceService/'
const REFUSED = [
  { path: '/nobody.Knows/This', message: Buffer.from('x'), refusedWith: 12 },
  { path: `${KSERVE}RepositoryModelLoad`, message: Buffer.alloc(0), refusedWith: 7 },
  { path: MODEL_INFER, message: tokenRequest({ model: 'no-such-model', tokens: 1 }), refusedWith: 5 },
  { path: MODEL_STREAM_INFER, message: tokenRequest({ model: '', tokens: 1 }), refusedWith: 3 },
  { path: MODEL_INFER, message: Buffer.of(0x0a, 0xff), refusedWith: 3 },
] as const

export function drawMix(count: number, model: string, seed: number): MixedRequest[] {
  const draw = seededDraw(seed)
  const whole = (most: number): number => Math.floor(draw() * (most + 1))
  const oneOf = <T>(all: readonly T[]): T => all[whole(all.length - 1)] as T
  /** Small ones are as frequent as large ones: even over powers of ten, with 0 among them. */
  const size = (most: number): number => Math.floor(most ** draw() - 1)
  const tokens = (most: number, id: number): TokenAsk => ({
    model,
    id: `r${id}`,
    tokens: 1 + whole(most - 1),
    prompt: Buffer.alloc(size(SIZE_MAX), 0x61),
  })
  const kindOf = (): Kind => {
    let left = draw() * KINDS.reduce((sum, kind) => sum + WEIGHTS[kind], 0)
    return KINDS.find((kind) => {
      left -= WEIGHTS[kind]
      return left < 0
    }) as Kind
  }
  return Array.from({ length: count }, (_, id): MixedRequest => {
    const kind = kindOf()
    switch (kind) {
      case 'echo':
        return { kind, path: UNARY, message: payloadOf(id, size(SIZE_MAX)) }
      case 'infer':
        return { kind, path: MODEL_INFER, message: tokenRequest(tokens(TOKENS_UNARY_MAX, id)) }
      case 'stream':
        return { kind, path: MODEL_STREAM_INFER, message: tokenRequest(tokens(TOKENS_STREAM_MAX, id)) }
      case 'wrong':
        return { kind, path: oneOf([MODEL_INFER, MODEL_STREAM_INFER]), message: tokenRequest({ ...tokens(1, id), tokens: -id }) }
      case 'refused':
        return { kind, ...oneOf(REFUSED) }
      case 'cancelled': {
        const giveUp = oneOf<GiveUp>(['in the upload', 'at once', 1, 1 + whole(20)])
        return { kind, path: oneOf([MODEL_INFER, MODEL_STREAM_INFER]), message: tokenRequest(tokens(TOKENS_STREAM_MAX, id)), giveUp }
      }
      default:
        return kind satisfies never
    }
  })
}

/** All at once, over a few connections to each address. */
export async function playMix(
  requests: readonly MixedRequest[],
  addressOf: (request: MixedRequest) => string,
  connections: number,
): Promise<Outcome[]> {
  const sessions = new Map<string, readonly GrpcSession[]>()
  for (const address of new Set(requests.map(addressOf)))
    sessions.set(address, await Promise.all(Array.from({ length: connections }, () => connectGrpc(address))))
  try {
    return await Promise.all(
      requests.map((request, at) => play(sessions.get(addressOf(request))?.[at % connections] as GrpcSession, request)),
    )
  } finally {
    for (const session of [...sessions.values()].flat()) session.destroy()
  }
}

async function play(session: GrpcSession, { path, message, giveUp }: MixedRequest): Promise<Outcome> {
  const messages: string[] = []
  const stream = session.open(path, {
    // With this a server ends a stream that it will not serve by a status, which a proxy can take elsewhere.
    headers: { triton_grpc_error: 'true' },
    onMessage(one) {
      messages.push(createHash('sha256').update(one).digest('base64'))
      if (messages.length === giveUp) stream.cancel()
    },
  })
  if (giveUp === 'in the upload') stream.http.write(framed(message).subarray(0, -1))
  else {
    stream.send(message)
    stream.halfClose()
  }
  // The head and the upload leave first: a cancel in the same turn would be one of a request that nobody saw.
  if (typeof giveUp === 'string') setImmediate(() => stream.cancel())
  const { status, details, torn } = await stream.ended
  return { status: status ?? 'none', details, torn, messages }
}
