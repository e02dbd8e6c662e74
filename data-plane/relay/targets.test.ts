/** Plays of models that go by other names, are shared out, or give way to others, through the whole story in memory. */
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { Model } from '../../core/mesh-snapshot.ts'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { headerField } from '../http2/header-field.ts'
import { ERROR } from '../http2/protocol.ts'
import type { Stream } from '../http2/stream.ts'
import { answer, INFER, message, OK_HEAD, STREAM, type StageOptions, stage } from '../testing/stage.ts'

const row = (name: string, more: Partial<Model> = {}): Model => ({ name, policy: 'ROUND_ROBIN', ...more })
const ALIASED: StageOptions = { rows: [row('llm', { aliases: ['chat'] })] }
const TWO: StageOptions = { models: { a: ['llm'], b: ['small'] }, rows: [row('llm', { fallbacks: ['small'] }), row('small')] }

type Play = ReturnType<typeof stage>
const bytesAt = (play: Play, name: string, stream: Stream = play.asked(name)): Uint8Array | undefined => play.far(name).bytes.get(stream)
const headAt = (play: Play, name: string): string => play.far(name).heard[0] ?? ''

describe('another name', () => {
  test('a server is asked by its own name, with the same request otherwise, and the client is told which model answered', () => {
    const play = stage(['a'], { ...ALIASED, nameEndpoints: true })
    play.send(INFER, message('chat', 90_000, { id: 'r1' }))
    expect(bytesAt(play, 'a')).toEqual(Uint8Array.from(message('llm', 90_000, { id: 'r1' })))
    expect(play.far('a').heard.at(-1)).toBe('1 end')
    answer(play.asked('a'), message('out'))
    play.move()
    expect(play.client.heard).toEqual(['1 head 200,application/grpc,a,1,llm', '1 trailers 0'])
    expect(play.tally.aimed).toMatchObject({ alias: 1, fallback: 0 })
    play.expectClean()
  })

  test('the length that a client announced is not announced to the server, and held to all the same', () => {
    const play = stage(['a'], ALIASED)
    const body = message('chat')
    play.send(INFER, body, true, headerField('content-length', String(body.length)))
    expect(headAt(play, 'a')).not.toContain(String(body.length))
    expect(bytesAt(play, 'a')).toEqual(Uint8Array.from(message('llm')))
  })

  test('the real name is passed on byte for byte, its length as well', () => {
    const play = stage(['a'], ALIASED)
    const body = message('llm')
    play.send(INFER, body, true, headerField('content-length', String(body.length)))
    expect(headAt(play, 'a')).toContain(String(body.length))
    expect(bytesAt(play, 'a')).toEqual(Uint8Array.from(body))
  })

  test('a request that comes in small reads is renamed as one that comes whole, and credit goes back for what the client sent', () => {
    const play = stage(['a'], ALIASED)
    const body = message('chat', 300_000)
    const stream = play.send(INFER, undefined, false)
    for (let at = 0; at < body.length; at += 997) {
      stream.sendData(body, at, Math.min(at + 997, body.length), at + 997 >= body.length)
      play.move()
    }
    expect(bytesAt(play, 'a')).toEqual(Uint8Array.from(message('llm', 300_000)))
    expect([play.client.fatal, play.client.heard]).toEqual([undefined, []])
    answer(play.asked('a'), message('out'))
    play.move()
    play.expectClean()
  })

  test('a retry is renamed as the first attempt was', () => {
    const play = stage(['a', 'b'], ALIASED)
    play.send(INFER, message('chat', 5_000))
    const [first] = play.served() as [string]
    play.asked(first).reset(ERROR.REFUSED_STREAM)
    play.move()
    const second = first === 'a' ? 'b' : 'a'
    expect(bytesAt(play, second)).toEqual(Uint8Array.from(message('llm', 5_000)))
    answer(play.asked(second), message('out'))
    play.move()
    play.expectClean()
  })

  const compressed = (model: string, size: number): Uint8Array => {
    const body = gzipSync(message(model, size).subarray(5), { level: 1 })
    const framed = Buffer.alloc(5 + body.length)
    framed[0] = 1
    framed.writeUInt32BE(body.length, 1)
    framed.set(body, 5)
    return framed
  }
  const GZIP = headerField('grpc-encoding', 'gzip')

  test('a compressed message is inflated to be renamed; by its real name it stays as it is', () => {
    const play = stage(['a'], ALIASED)
    play.send(INFER, compressed('chat', 10_000), true, GZIP)
    expect(bytesAt(play, 'a')).toEqual(Uint8Array.from(message('llm', 10_000)))
    play.send(INFER, compressed('llm', 10_000), true, GZIP)
    expect(bytesAt(play, 'a')).toEqual(Uint8Array.from(compressed('llm', 10_000)))
  })

  test('one that is too large for that is refused, and leaves nothing behind', () => {
    const play = stage(['a'], { rows: [row('llm', { aliases: ['chat'], timeouts: { firstByteMs: 1_000 } })] })
    play.send(INFER, compressed('chat', limits.renamedInflatedMax), true, GZIP)
    expect(decodeURIComponent(play.client.heard.at(-1) ?? '')).toContain('send it uncompressed')
    expect(play.tally.refusals).toEqual({ 'compressed-alias': 1 })
    expect(play.ledger.open).toBe(0)
    play.ledger.expire(play.later())
    play.expectClean()
  })

  test('a name that stands again behind the tensors is refused before anybody is asked', () => {
    const play = stage(['a'], ALIASED)
    const first = message('chat').subarray(5)
    const twice = Buffer.concat([first, Buffer.from([0x0a, 4]), Buffer.from('chat')])
    const framed = Buffer.concat([Buffer.alloc(5), twice])
    framed.writeUInt32BE(twice.length, 1)
    play.send(INFER, framed)
    expect(play.served()).toEqual([])
    expect(play.tally.refusals).toEqual({ 'model-changed': 1 })
    play.expectClean()
  })

  test('each request of a stream is renamed by itself, those of a sequence on the stream that they share', () => {
    const play = stage(['a'], { ...ALIASED, kinds: { llm: 'in-order' } })
    const inSequence = { parameters: { sequence_id: { parameterChoice: { $case: 'stringParam' as const, value: 's' } } } }
    const asked = [
      message('chat', 10, { id: '1' }),
      message('llm', 10, { id: '2' }),
      message('chat', 10, inSequence),
      message('chat', 20, inSequence),
    ]
    play.send(STREAM, Buffer.concat(asked), false)
    const [first, second, shared] = play.far('a').requests as [Stream, Stream, Stream]
    expect(bytesAt(play, 'a', first)).toEqual(Uint8Array.from(message('llm', 10, { id: '1' })))
    expect(bytesAt(play, 'a', second)).toEqual(Uint8Array.from(message('llm', 10, { id: '2' })))
    expect(bytesAt(play, 'a', shared)).toEqual(
      Uint8Array.from(Buffer.concat([message('llm', 10, inSequence), message('llm', 20, inSequence)])),
    )
  })

  test('an alias of nobody who serves is refused by both names', () => {
    const play = stage(['a'], { rows: [row('gone', { aliases: ['chat'] })] })
    play.send(INFER, message('chat'))
    expect(decodeURIComponent(play.client.heard.at(-1) ?? '')).toContain('no endpoint serves model "gone" (asked for as "chat")')
    play.expectClean()
  })
})

describe('versions', () => {
  const VERSIONS: StageOptions = { models: { a: ['llm@1'], b: ['llm@2'], c: ['llm'] }, rows: [row('llm')] }
  const served = (options: StageOptions, version: string): string[] => {
    const play = stage(['a', 'b', 'c'], options)
    for (let count = 0; count < 6; count++) play.send(INFER, message('llm', 10, { modelVersion: version }))
    return [...new Set(play.served())]
  }

  test('a version that is asked for goes to who serves it, none to everybody', () => {
    expect(['', '1', '2', '3'].map((version) => served(VERSIONS, version))).toEqual([['a', 'b', 'c'], ['a', 'c'], ['b', 'c'], ['c']])
    const play = stage(['a'], { models: { a: ['llm@1'] } })
    play.send(INFER, message('llm', 10, { modelVersion: '2' }))
    expect(decodeURIComponent(play.client.heard.at(-1) ?? '')).toContain('no endpoint serves model "llm" version "2"')
    expect(play.tally.refusals).toEqual({ 'unknown-model': 1 })
  })

  test('a split is drawn once: the server reads the version, and each attempt means the same', () => {
    const split = [
      { version: '1', weight: 9 },
      { version: '2', weight: 1 },
    ]
    const play = stage(['a', 'b'], { models: { a: ['llm@1', 'llm@2'], b: ['llm@2'] }, rows: [row('llm', { split })], draws: [0.95] })
    play.send(INFER, message('llm'))
    const [first] = play.served() as [string]
    play.asked(first).reset(ERROR.REFUSED_STREAM)
    play.move()
    for (const name of ['a', 'b']) expect(bytesAt(play, name)).toEqual(Uint8Array.from(message('llm', 10, { modelVersion: '2' })))
    play.send(INFER, message('llm', 10, { modelVersion: '1' }))
    expect(ModelInferRequest.decode((bytesAt(play, 'a') as Uint8Array).subarray(5)).modelVersion).toBe('1')
  })
})

test('requests of one session mean the same part of a split', () => {
  const split = [
    { version: '1', weight: 1 },
    { version: '2', weight: 1 },
  ]
  const play = stage(['a'], { rows: [row('llm', { split })], draws: [0.1, 0.9] })
  const versions = (session?: string): (string | undefined)[] =>
    [1, 2].map(() => {
      play.send(INFER, message('llm'), true, ...(session === undefined ? [] : [headerField('x-millrace-session', session)]))
      return ModelInferRequest.decode((bytesAt(play, 'a') as Uint8Array).subarray(5)).modelVersion
    })
  expect(versions()).toEqual(['1', '2'])
  const sessions = Array.from({ length: 40 }, (_, at) => versions(`session-${at}`))
  expect(sessions.filter(([first, second]) => first !== second)).toEqual([])
  expect(new Set(sessions.flat())).toEqual(new Set(['1', '2']))
})

describe('fall-backs', () => {
  test('a model of which nobody serves gives way at once', () => {
    const play = stage(['b'], { ...TWO, models: { b: ['small'] } })
    play.send(INFER, message('llm', 10, { modelVersion: '3' }))
    expect(bytesAt(play, 'b')).toEqual(Uint8Array.from(message('small')))
    expect(play.tally.aimed).toMatchObject({ asked: 1, fallback: 1 })
  })

  test('where all attempts failed before an answer began, the next model is asked, within the budget', () => {
    const play = stage(['a', 'b'], TWO)
    play.send(INFER, message('llm'))
    expect(play.served()).toEqual(['a'])
    play.asked('a').sendHead([...OK_HEAD, headerField('grpc-status', '14')], true)
    play.move()
    expect(bytesAt(play, 'b')).toEqual(Uint8Array.from(message('small')))
    answer(play.asked('b'), message('out'))
    play.move()
    expect(play.client.heard.at(-1)).toBe('1 trailers 0')
    expect([play.tally.retries, play.tally.aimed.fallback]).toEqual([1, 1])
    play.expectClean()
  })

  test('an answer that says no, or has begun, falls back on nobody', () => {
    const play = stage(['a', 'b'], TWO)
    play.send(INFER, message('llm'))
    play.asked('a').sendHead([...OK_HEAD, headerField('grpc-status', '3')], true)
    play.send(INFER, message('llm'))
    play.asked('a').sendHead(OK_HEAD, false)
    play.move()
    play.asked('a').reset(ERROR.INTERNAL_ERROR)
    play.move()
    expect(play.served()).toEqual(['a', 'a'])
    play.expectClean()
  })

  test('a sequence falls back on nobody: another model does not know it', () => {
    const play = stage(['b'], { ...TWO, models: { b: ['small'] } })
    play.send(INFER, message('llm', 10, { parameters: { sequence_id: { parameterChoice: { $case: 'stringParam', value: 's' } } } }))
    expect(play.served()).toEqual([])
  })

  test('a route follows its model, bytes untouched', () => {
    const play = stage(['b'], { ...TWO, models: { b: ['small'] } })
    play.send('/any.Service/Call', message('whatever'))
    expect(bytesAt(play, 'b')).toEqual(Uint8Array.from(message('whatever')))
  })
})
