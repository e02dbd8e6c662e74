/** Plays of several requests in one client stream: who is asked, in which order answers come, and what the failure of one means to the others. */
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { ModelStreamInferResponse } from '../../proto/gen/inference/grpc_service.ts'
import { headerField } from '../http2/header-field.ts'
import { ERROR } from '../http2/protocol.ts'
import type { Stream } from '../http2/stream.ts'
import { answer, message, OK_END, OK_HEAD, STREAM, type StageOptions, stage } from '../testing/stage.ts'

const ask = (model: string, id: string, more: Parameters<typeof message>[2] = {}): Uint8Array => message(model, 10, { id, ...more })
const framed = (body: Uint8Array): Uint8Array => {
  const bytes = Buffer.alloc(5 + body.length)
  bytes.writeUInt32BE(body.length, 1)
  bytes.set(body, 5)
  return bytes
}
/** An answer of a server, told apart by its id. */
const said = (id: string, padding = 0): Uint8Array =>
  framed(
    ModelStreamInferResponse.encode(
      ModelStreamInferResponse.fromPartial({ inferResponse: { id, rawOutputContents: padding === 0 ? [] : [Buffer.alloc(padding)] } }),
    ).finish(),
  )
const inSequence = (id: string, flags: { start?: boolean; end?: boolean } = {}) => ({
  parameters: {
    sequence_id: { parameterChoice: { $case: 'stringParam' as const, value: id } },
    sequence_start: { parameterChoice: { $case: 'boolParam' as const, value: flags.start ?? false } },
    sequence_end: { parameterChoice: { $case: 'boolParam' as const, value: flags.end ?? false } },
  },
})

const TWO: StageOptions = {
  models: { a: ['slow', 'plain'], b: ['tokens', 'other'] },
  kinds: { slow: 'in-order', plain: 'in-order', tokens: 'decoupled', other: 'in-order' },
}

function play(options: StageOptions = TWO, ...names: readonly string[]) {
  const it = stage(names.length === 0 ? ['a', 'b'] : names, options)
  let stream: Stream | undefined
  const answering = new Set<Stream>()
  const of = (name: string, nth: number): Stream => it.far(name).requests[nth] as Stream
  return {
    ...it,
    of,
    /** Sends messages on the client's stream, opening it with the first. */
    ask(...messages: readonly Uint8Array[]): void {
      const all = Buffer.concat(messages)
      if (stream === undefined) stream = it.send(STREAM, all, false)
      else stream.sendData(all, 0, all.length, false)
      it.move()
    },
    say(on: Stream, ...messages: readonly Uint8Array[]): void {
      if (!answering.has(on)) on.sendHead(OK_HEAD, false)
      answering.add(on)
      for (const one of messages) on.sendData(one, 0, one.length, false)
      it.move()
    },
    finish(on: Stream, ...messages: readonly Uint8Array[]): void {
      this.say(on, ...messages)
      on.sendTrailers(OK_END)
      it.move()
    },
    halfClose(): void {
      stream?.sendData(new Uint8Array(0), 0, 0, true)
      it.move()
    },
    cancel(): void {
      stream?.reset(ERROR.CANCEL)
      it.move()
    },
    /** What the client got: ids, errors as `id: text`. */
    got(): string[] {
      const bytes = Buffer.from((stream && it.client.bytes.get(stream)) ?? [])
      const all: string[] = []
      for (let at = 0; at < bytes.length; ) {
        const length = bytes.readUInt32BE(at + 1)
        expect(bytes.length, 'the last message is whole').toBeGreaterThanOrEqual(at + 5 + length)
        const { errorMessage, inferResponse } = ModelStreamInferResponse.decode(bytes.subarray(at + 5, at + 5 + length))
        all.push(errorMessage === '' ? (inferResponse?.id ?? '') : `${inferResponse?.id}: ${errorMessage}`)
        at += 5 + length
      }
      return all
    },
    /** How the client's stream stands. */
    end: (): string | undefined => it.client.heard.at(-1),
  }
}

test('each request goes to its own model, on a stream of its own that ends behind its message', () => {
  const it = play()
  it.ask(ask('plain', '1'))
  expect(it.far('a').heard.at(-1)).not.toContain('end')
  it.ask(ask('tokens', '2'), ask('plain', '3'))
  expect([it.far('a').requests.length, it.far('b').requests.length]).toEqual([2, 1])
  expect(it.of('a', 0).remoteEnded && it.of('a', 1).remoteEnded && it.of('b', 0).remoteEnded).toBe(true)
  expect(it.far('b').bytes.get(it.of('b', 0))).toEqual(Uint8Array.from(ask('tokens', '2')))
  expect(it.far('a').bytes.get(it.of('a', 0))).toEqual(Uint8Array.from(ask('plain', '1')))
  expect([it.ledger.open, it.tally.open]).toEqual([3, 3])
  for (const [name, nth, id] of [
    ['a', 0, '1'],
    ['b', 0, '2'],
    ['a', 1, '3'],
  ] as const)
    it.finish(it.of(name, nth), said(id))
  expect(it.got()).toEqual(['1', '2', '3'])
  expect(it.end()).toBe('1 head 200,application/grpc')
  it.halfClose()
  expect(it.end()).toBe('1 trailers 0')
  it.expectClean()
})

test('answers in order wait for those asked before, tokens of a decoupled model for nobody', () => {
  const it = play()
  it.ask(ask('slow', '1'), ask('tokens', '2'), ask('other', '3'))
  it.finish(it.of('b', 1), said('3'))
  it.say(it.of('b', 0), said('2'), said('2'))
  expect(it.got()).toEqual(['2', '2'])
  it.finish(it.of('a', 0), said('1'))
  expect(it.got()).toEqual(['2', '2', '1', '3'])
  it.halfClose()
  it.finish(it.of('b', 0), said('2'))
  expect([it.got().at(-1), it.end()]).toEqual(['2', '1 trailers 0'])
  it.expectClean()
})

test('a model of which nobody knows how it answers waits like one in order until it is known', () => {
  const it = play({ models: { a: ['x'], b: ['y'] } })
  it.ask(ask('x', '1'), ask('y', '2'))
  it.say(it.of('b', 0), said('2'))
  expect(it.got()).toEqual([])
  it.tell('decoupled')
  expect(it.got()).toEqual(['2'])
  it.finish(it.of('a', 0), said('1'))
  it.finish(it.of('b', 0))
  it.halfClose()
  expect(it.end()).toBe('1 trailers 0')
  it.expectClean()
})

describe('a request that fails', () => {
  test('for want of its model is told in its turn, and the stream goes on', () => {
    const it = play()
    it.ask(ask('slow', '1'), ask('nobody', '2'), ask('other', '3'))
    expect(it.got()).toEqual([])
    it.finish(it.of('a', 0), said('1'))
    it.finish(it.of('b', 0), said('3'))
    expect(it.got()).toEqual(['1', '2: no endpoint serves model "nobody"', '3'])
    it.halfClose()
    expect(it.end()).toBe('1 trailers 0')
    it.expectClean()
  })

  test('as the first is told within the stream too, and the next is served', () => {
    const it = play()
    it.ask(ask('nobody', '1'))
    expect(it.got()).toEqual(['1: no endpoint serves model "nobody"'])
    it.ask(ask('', '2'), ask('plain', '3'))
    it.finish(it.of('a', 0), said('3'))
    it.halfClose()
    expect(it.got().slice(1)).toEqual(['2: the message names no model: set model_name', '3'])
    expect(it.end()).toBe('1 trailers 0')
    it.expectClean()
  })

  test('at its server is an error of its own; others go on', () => {
    const it = play()
    it.ask(ask('tokens', '1'), ask('plain', '2'))
    it.say(it.of('b', 0), said('1'))
    it.of('b', 0).sendTrailers([headerField('grpc-status', '13'), headerField('grpc-message', 'out of %C3%B6il')])
    it.move()
    it.finish(it.of('a', 0), said('2'))
    it.halfClose()
    expect(it.got()).toEqual(['1', '1: out of öil', '2'])
    expect(it.end()).toBe('1 trailers 0')
    it.expectClean()
  })

  test('by a message that is cut off is told without the cut message', () => {
    const it = play()
    it.ask(ask('tokens', '1'), ask('plain', '2'))
    it.say(it.of('b', 0), said('1'), said('1', 500).subarray(0, 200))
    it.of('b', 0).reset(ERROR.INTERNAL_ERROR)
    it.move()
    it.finish(it.of('a', 0), said('2'))
    it.halfClose()
    expect(it.got()).toEqual(['1', '1: the server ended in the middle of a message', '2'])
    it.expectClean()
  })

  test('before its answer begins is tried elsewhere with the same bytes', () => {
    const it = play({ models: { a: ['slow'], b: ['m'], c: ['m'] }, kinds: { slow: 'in-order', m: 'in-order' } }, 'a', 'b', 'c')
    it.ask(ask('slow', '1'), ask('m', '2'))
    const [first, second] = it.far('b').requests.length === 1 ? ['b', 'c'] : ['c', 'b']
    it.of(first as string, 0).reset(ERROR.REFUSED_STREAM)
    it.move()
    expect(it.far(second as string).bytes.get(it.of(second as string, 0))).toEqual(Uint8Array.from(ask('m', '2')))
    it.finish(it.of('a', 0), said('1'))
    it.finish(it.of(second as string, 0), said('2'))
    it.halfClose()
    expect([it.got(), it.end(), it.tally.retries]).toEqual([['1', '2'], '1 trailers 0', 1])
    it.expectClean()
  })

  test('by changing its mind is told so, without its last byte; what follows is served', () => {
    const it = play()
    const changed = Buffer.concat([ask('plain', '2').subarray(5), Buffer.from([0x0a, 1, 0x78])])
    it.ask(ask('tokens', '1'), framed(changed), ask('plain', '3'))
    expect(it.far('a').bytes.get(it.of('a', 0))).toEqual(Uint8Array.from(ask('plain', '3')))
    it.finish(it.of('a', 0), said('3'))
    it.finish(it.of('b', 0))
    it.halfClose()
    expect(it.got()).toEqual(['2: model_name changes from "plain" to "x" within one message', '3'])
    expect(it.end()).toBe('1 trailers 0')
    it.expectClean()
  })

  test('ends the stream with its status when the client asked for that', () => {
    const it = play()
    const stream = it.send(STREAM, ask('tokens', '1'), false, headerField('triton_grpc_error', 'true'))
    it.say(it.of('b', 0), said('1'))
    const second = ask('nobody', '2')
    stream.sendData(second, 0, second.length, false)
    it.move()
    expect(it.client.heard).toContain('1 trailers 5,no endpoint serves model "nobody"')
    expect(it.far('b').heard.at(-1)).toBe(`1 reset ${ERROR.CANCEL}`)
    it.ledger.expire(it.later())
    it.expectClean()
  })
})

test('a message of which the client has a part blocks others, and breaks the stream when it cannot be finished', () => {
  const it = play()
  it.ask(ask('tokens', '1'), ask('plain', '2'))
  const long = said('1', 100_000)
  it.say(it.of('b', 0), long.subarray(0, 90_000))
  it.finish(it.of('a', 0), said('2'))
  const received = it.client.bytes.values().next().value?.length ?? 0
  expect(received).toBeGreaterThanOrEqual(limits.messageHoldMax)
  it.of('b', 0).reset(ERROR.INTERNAL_ERROR)
  it.move()
  expect(it.end()).toBe(`1 reset ${ERROR.INTERNAL_ERROR}`)
  it.expectClean()
})

test('a long message of one and short ones of another come whole, whatever the client’s window', () => {
  const it = play()
  it.client.hold = true
  it.ask(ask('tokens', '1'), ask('plain', '2'))
  it.say(it.of('b', 0), said('1', 150_000).subarray(0, 30_000))
  it.say(it.of('a', 0), said('2', 80_000))
  it.say(it.of('b', 0), said('1', 150_000).subarray(30_000))
  it.finish(it.of('b', 0), said('1'))
  it.finish(it.of('a', 0))
  it.halfClose()
  const stream = [...it.client.connection.streams.values()][0] as Stream
  for (let last = -1; last !== it.client.bytes.get(stream)?.length; it.move()) {
    const length = it.client.bytes.get(stream)?.length ?? 0
    stream.returnCredit(length - Math.max(last, 0), false)
    last = length
  }
  expect(it.got().sort()).toEqual(['1', '1', '2'])
  expect(it.end()).toBe('1 trailers 0')
  it.expectClean()
})

describe('a sequence', () => {
  const MANY: StageOptions = { models: { a: ['m'], b: ['m'], c: ['m'] }, kinds: { m: 'in-order' } }
  const names = ['a', 'b', 'c']
  const owners = (it: ReturnType<typeof play>): string[] => names.filter((name) => it.far(name).requests.length > 0)

  test('shares one stream to one endpoint until its end, each answer in its turn', () => {
    const it = play(MANY, ...names)
    it.ask(ask('m', '1', inSequence('s', { start: true })), ask('m', '2', inSequence('s')), ask('m', '3', inSequence('s', { end: true })))
    const [owner] = owners(it) as [string]
    expect(it.served()).toEqual([owner])
    expect(it.of(owner, 0).remoteEnded).toBe(true)
    it.finish(it.of(owner, 0), said('1'), said('2'), said('3'))
    it.halfClose()
    expect([it.got(), it.end()]).toEqual([['1', '2', '3'], '1 trailers 0'])
    it.expectClean()
  })

  test('that has been answered holds up nobody, though more of it may come', () => {
    const it = play({ models: { a: ['m', 'other'] }, kinds: { m: 'in-order', other: 'in-order' } }, 'a')
    it.ask(ask('m', '1', inSequence('s', { start: true })))
    it.say(it.of('a', 0), said('1'))
    it.ask(ask('other', '2'))
    it.finish(it.of('a', 1), said('2'))
    expect(it.got()).toEqual(['1', '2'])
    it.ask(ask('m', '3', inSequence('s', { end: true })), ask('other', '4'))
    it.finish(it.of('a', 2), said('4'))
    expect(it.got()).toEqual(['1', '2'])
    it.finish(it.of('a', 0), said('3'))
    it.halfClose()
    expect([it.got(), it.end()]).toEqual([['1', '2', '3', '4'], '1 trailers 0'])
    it.expectClean()
  })

  test('whose server fails has an error for what is not answered, none for an answer that waits for its turn', () => {
    const it = play({ models: { a: ['m', 'other'] }, kinds: { m: 'in-order', other: 'in-order' } }, 'a')
    it.ask(ask('other', '1'), ask('m', '2', inSequence('s', { start: true })), ask('m', '3', inSequence('s')))
    it.say(it.of('a', 1), said('2'))
    it.of('a', 1).sendTrailers([headerField('grpc-status', '13'), headerField('grpc-message', 'broken')])
    it.move()
    it.finish(it.of('a', 0), said('1'))
    expect(it.got()).toEqual(['1', '2', '3: broken'])
    it.halfClose()
    it.expectClean()
  })

  test('stays with its endpoint from stream to stream, and other sequences spread', () => {
    const it = play(MANY, ...names)
    for (let sequence = 0; sequence < 30; sequence++)
      for (const flags of [{ start: true }, {}, { end: true }]) {
        const before = it.served().length
        const stream = it.send(STREAM, ask('m', 'x', inSequence(`s${sequence}`, flags)))
        expect(it.served().length).toBe(before + 1)
        stream.reset(ERROR.CANCEL)
        it.move()
      }
    for (const name of names) expect(it.far(name).requests.length % 3, `requests at ${name}`).toBe(0)
    expect(owners(it)).toEqual(names)
  })

  test('that is lost with its server tells every request that it still owed', () => {
    const it = play(MANY, ...names)
    it.ask(ask('m', '1', inSequence('s', { start: true })), ask('m', '2', inSequence('s')), ask('m', '3', inSequence('s')))
    const [owner] = owners(it) as [string]
    it.say(it.of(owner, 0), said('1'))
    it.of(owner, 0).reset(ERROR.INTERNAL_ERROR)
    it.move()
    it.halfClose()
    expect(it.got()).toEqual(['1', expect.stringMatching(/^2: .*reset/), expect.stringMatching(/^3: .*reset/)])
    expect(it.end()).toBe('1 trailers 0')
    it.expectClean()
  })
})

test('a client that leaves stops every request, and each is settled', () => {
  const it = play()
  it.ask(ask('tokens', '1'), ask('plain', '2'), ask('slow', '3'))
  it.say(it.of('a', 0), said('2'))
  it.cancel()
  for (const [name, count] of [
    ['a', 2],
    ['b', 1],
  ] as const)
    expect(it.far(name).heard.filter((one) => one.endsWith(`reset ${ERROR.CANCEL}`))).toHaveLength(count)
  expect([it.ledger.open, it.ledger.burning, it.tally.open]).toEqual([0, 3, 0])
  it.ledger.expire(it.later())
  it.expectClean()
})

test('a deadline ends all requests of the stream', () => {
  const it = play()
  const stream = it.send(STREAM, ask('tokens', '1'), false, headerField('grpc-timeout', '500m'))
  const second = ask('plain', '2')
  stream.sendData(second, 0, second.length, false)
  it.move()
  it.say(it.of('b', 0), said('1'))
  it.pass(600)
  expect(it.client.heard).toContain('1 trailers 4,the deadline passed')
  expect([it.ledger.open, it.tally.byStatus[4]]).toEqual([0, 2])
  it.ledger.expire(it.later())
  it.expectClean()
})

test('more requests at once than the limit are refused one by one, and served again when there is room', () => {
  const it = play()
  it.ask(...Array.from({ length: limits.streamRequestsMax + 2 }, (_, index) => ask('tokens', String(index))))
  expect(it.far('b').requests.length).toBe(limits.streamRequestsMax)
  for (const stream of [...it.far('b').requests]) it.finish(stream)
  expect(it.got()).toHaveLength(2)
  expect(it.tally.refusals['too-many-requests']).toBe(2)
  it.ask(ask('tokens', 'late'))
  it.finish(it.of('b', limits.streamRequestsMax), said('late'))
  it.halfClose()
  expect([it.got().at(-1), it.end()]).toEqual(['late', '1 trailers 0'])
  it.expectClean()
})

test('wherever reads are cut and however messages are compressed, every request arrives as it was sent', () => {
  const small = gzipSync(ask('tokens', '2').subarray(5))
  const packed = Buffer.alloc(5 + small.length)
  packed[0] = 1
  packed.writeUInt32BE(small.length, 1)
  packed.set(small, 5)
  const all = Buffer.concat([ask('plain', '1'), packed, ask('other', '3', { rawInputContents: [Buffer.alloc(20_000, 9)] })])
  for (const step of [1, 7, 5_000]) {
    const it = play()
    const stream = it.send(STREAM, undefined, false, headerField('grpc-encoding', 'gzip'))
    for (let at = 0; at < all.length; at += step) {
      stream.sendData(all, at, Math.min(all.length, at + step), at + step >= all.length)
      if (step > 1 || at < 300) it.move()
    }
    it.move()
    expect(it.far('a').bytes.get(it.of('a', 0))).toEqual(Uint8Array.from(ask('plain', '1')))
    expect(it.far('b').bytes.get(it.of('b', 0))).toEqual(Uint8Array.from(packed))
    expect(it.far('b').bytes.get(it.of('b', 1))?.length).toBeGreaterThan(20_000)
    for (const [name, nth] of [
      ['a', 0],
      ['b', 0],
      ['b', 1],
    ] as const)
      answer(it.of(name, nth), said(`${name}${nth}`))
    it.move()
    expect(it.end()).toBe('1 trailers 0')
    it.expectClean()
  }
})
