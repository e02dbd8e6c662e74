/** Waiting before refusal, as whole requests in memory see it. */
import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { ModelStreamInferResponse } from '../../proto/gen/inference/grpc_service.ts'
import { headerField } from '../http2/header-field.ts'
import type { Stream } from '../http2/stream.ts'
import { answer, INFER, message, OK_END, OK_HEAD, STREAM, stage } from '../testing/stage.ts'

const ONE = { admission: { concurrency: 1 } }
type Stage = ReturnType<typeof stage>

/** The endpoint answers the request that came first of those that are open. */
function finish(play: Stage, name: string): void {
  const open = play.far(name).requests.find((stream) => !stream.localEnded && !stream.closed)
  answer(open as Stream, message('out'))
  play.move()
}

const endOf = (play: Stage, stream: Stream): string =>
  decodeURIComponent(play.client.heard.findLast((line) => line.startsWith(`${stream.id} `)) ?? '')

test('what there is no room for waits with all its bytes, and goes in the turn in which a place becomes free', () => {
  const play = stage(['a'], ONE)
  const body = message('llm', 40_000)
  play.send(INFER, message('llm'))
  const second = play.send(INFER, body)
  expect([play.served().length, play.service.desk.waiting.get('default')]).toEqual([1, 1])
  expect(play.service.desk.waitingBytes, 'more than a frame: the rest of its window is counted before it comes').toBe(
    limits.streamWindowStart,
  )
  finish(play, 'a')
  expect(play.served()).toHaveLength(2)
  expect(play.far('a').bytes.get(play.asked('a'))).toEqual(Uint8Array.from(body))
  finish(play, 'a')
  expect(endOf(play, second)).toBe(`${second.id} trailers 0`)
  play.expectClean()
})

test('prefix routes and inference count against one number, which is the model’s', () => {
  const play = stage(['a'], ONE)
  play.send('/any.Service/Call', message('x'))
  play.send(INFER, message('llm'))
  play.send('/any.Service/Call', message('x'))
  expect(play.served()).toHaveLength(1)
  for (let count = 0; count < 3; count++) finish(play, 'a')
  expect(play.served()).toHaveLength(3)
  play.expectClean()
})

test('in a queue that does not get empty who comes waits for a part of the longest wait, and for all of it once it was empty', () => {
  const play = stage(['a'], { admission: { concurrency: 1, maxWaitMs: 1_000 } })
  const refused = (stream: Stream): boolean => endOf(play, stream).includes('no place became free')
  play.send(INFER, message('llm'))
  const first = play.send(INFER, message('llm'))
  play.pass(900)
  const second = play.send(INFER, message('llm'))
  play.pass(140)
  expect([refused(first), refused(second)]).toEqual([true, false])
  const third = play.send(INFER, message('llm'))
  play.pass(140)
  expect([refused(second), refused(third)], 'somebody has waited at every moment of the last second').toEqual([false, true])
  finish(play, 'a')
  const fourth = play.send(INFER, message('llm'))
  play.pass(900)
  expect(refused(fourth)).toBe(false)
  finish(play, 'a')
  finish(play, 'a')
  play.expectClean()
})

test('a client that leaves, and a deadline that passes, leave the queue at once, uncharged', () => {
  const play = stage(['a'], ONE)
  play.send(INFER, message('llm'))
  const left = play.send(INFER, message('llm'))
  const late = play.send(INFER, message('llm'), true, headerField('grpc-timeout', '100m'))
  left.reset(8)
  play.move()
  expect(play.service.desk.waiting.get('default')).toBe(1)
  play.pass(140)
  expect(endOf(play, late)).toContain('4,the deadline passed')
  finish(play, 'a')
  expect(play.served()).toHaveLength(1)
  play.expectClean()
})

test('a client’s connection that breaks sends nothing of what waited on it to a server', () => {
  const play = stage(['a'], { admission: { concurrency: 2 } })
  for (let count = 0; count < 6; count++) play.send(INFER, message('llm'))
  play.front.connection.lose('broken')
  play.move()
  expect(play.served()).toHaveLength(2)
  play.ledger.expire(play.later())
  play.expectClean()
})

describe('a refusal', () => {
  test('of a full queue says so, in its status and with the time after which to try again, for machines and in words', () => {
    const play = stage(['a'], { admission: { concurrency: 1, queueMax: 1 } })
    for (let count = 0; count < 2; count++) play.send(INFER, message('llm'))
    const refused = play.send(INFER, message('llm'))
    expect(endOf(play, refused)).toBe(
      `${refused.id} head 200,application/grpc,8,model "llm": 1 requests wait already; try again in 1.3 s,1250 end`,
    )
    expect(play.tally.refusals).toEqual({ 'queue-full': 1 })
    for (let count = 0; count < 2; count++) finish(play, 'a')
    play.expectClean()
  })

  test('ends the longest wait', () => {
    const play = stage(['a'], { admission: { concurrency: 1, maxWaitMs: 500 } })
    play.send(INFER, message('llm'))
    const waited = play.send(INFER, message('llm'))
    play.pass(480)
    expect(play.tally.refusals).toEqual({})
    play.pass(60)
    expect(endOf(play, waited)).toContain('8,model "llm": it waited for 540 ms')
    finish(play, 'a')
    play.expectClean()
  })

  test('of a deadline that cannot be met comes before any wait, and asks no server', () => {
    const play = stage(['a'], ONE)
    play.send(INFER, message('llm'))
    play.tick(1_000)
    finish(play, 'a')
    play.send(INFER, message('llm'))
    const hasty = play.send(INFER, message('llm'), true, headerField('grpc-timeout', '300m'))
    expect(endOf(play, hasty)).toContain('4,model "llm": about 1000 ms to wait, and its deadline is nearer')
    finish(play, 'a')
    expect(play.served()).toHaveLength(2)
    play.expectClean()
  })

  test('for want of an endpoint is UNAVAILABLE and at once, whatever waits', () => {
    const play = stage(['a'], ONE)
    const endpoint = play.routing.slot('a')?.endpoint
    if (endpoint !== undefined) play.routing.upsert({ ...endpoint, state: 'STARTING' })
    const refused = play.send(INFER, message('llm'))
    expect(endOf(play, refused)).toContain('14,model "llm": none is READY of 1 endpoints; try again in 1.3 s,1250 end')
    play.expectClean()
  })
})

test('a higher band goes first, and gets in when the queue is full of lower ones', () => {
  const bands = { priorityKey: 'x-priority', bands: ['high', 'low'], queueMax: 2 }
  const play = stage(['a'], { admission: { concurrency: 1, ...bands } })
  const low = Array.from({ length: 3 }, () => play.send(INFER, message('llm')))
  const high = play.send(INFER, message('llm'), true, headerField('x-priority', 'high'))
  expect(endOf(play, low[2] as Stream)).toContain('8,model "llm": a request of a higher priority took its place')
  expect([...play.service.desk.waiting]).toEqual([
    ['high', 1],
    ['low', 1],
  ])
  finish(play, 'a')
  finish(play, 'a')
  expect([endOf(play, high), endOf(play, low[1] as Stream)]).toEqual([`${high.id} trailers 0`, ''])
  finish(play, 'a')
  play.expectClean()
})

test('a second attempt waits behind nobody, and counts', () => {
  const play = stage(['a', 'b'], ONE)
  play.send(INFER, message('llm'))
  play.send(INFER, message('llm'))
  const [first] = play.served()
  play.asked(first as string).reset(7)
  play.move()
  expect(play.served()).toHaveLength(2)
  expect([play.ledger.open, play.service.desk.waiting.get('default')]).toEqual([1, 1])
  for (let count = 0; count < 2; count++)
    for (const name of ['a', 'b']) if (play.far(name).requests.some((stream) => !stream.localEnded && !stream.closed)) finish(play, name)
  play.expectClean()
})

test('a second attempt at once that wins takes over the place of the one that it overtook, and leaves it once', () => {
  const play = stage(['a', 'b'], { ...ONE, hedge: { afterMs: 100 } })
  play.send(INFER, message('llm'))
  const [first] = play.served()
  play.pass(140)
  finish(play, first === 'a' ? 'b' : 'a')
  expect(play.tally.hedgesWon).toBe(1)
  for (let count = 0; count < 3; count++) play.send(INFER, message('llm'))
  expect([play.ledger.open, play.service.desk.waiting.get('default')]).toEqual([1, 2])
})

test('a sequence that has begun waits behind nobody', () => {
  const play = stage(['a'], ONE)
  const step = (start: boolean) => {
    const flag = { parameterChoice: { $case: 'boolParam' as const, value: start } }
    const id = { parameterChoice: { $case: 'int64Param' as const, value: 7n } }
    return message('llm', 10, { parameters: start ? { sequence_id: id, sequence_start: flag } : { sequence_id: id } })
  }
  play.send(INFER, message('llm'))
  play.send(INFER, step(true))
  expect(play.served(), 'one that begins waits like any other').toHaveLength(1)
  finish(play, 'a')
  play.send(INFER, step(false))
  expect(play.served()).toHaveLength(3)
  for (let count = 0; count < 2; count++) finish(play, 'a')
  play.expectClean()
})

test('news of the fleet lets in whom there is room for now; so does a net, if nobody tells', () => {
  for (const told of [true, false]) {
    const play = stage(['a'], { admission: { headroom: 1 }, capacity: 1 })
    for (let count = 0; count < 2; count++) play.send(INFER, message('llm'))
    const endpoint = play.routing.slot('a')?.endpoint
    if (endpoint !== undefined) play.routing.upsert({ ...endpoint, capacity: 2 })
    if (told) play.service.desk.onFleet()
    else play.pass(limits.roomPeriod + limits.queueNet + 40)
    play.move()
    expect(play.served()).toHaveLength(2)
    for (let count = 0; count < 2; count++) finish(play, 'a')
    play.expectClean()
  }
})

test('a row that is taken away lets everybody go', () => {
  const play = stage(['a'], ONE)
  for (let count = 0; count < 4; count++) play.send(INFER, message('llm'))
  play.routing.setHead({ version: 'next', models: [], routes: [] })
  play.service.desk.onFleet()
  play.move()
  expect(play.served()).toHaveLength(4)
  for (let count = 0; count < 4; count++) finish(play, 'a')
  play.expectClean()
})

test('requests of one client stream wait each for themselves, and a decoupled model’s answers come as they come', () => {
  const play = stage(['a'], { ...ONE, kinds: { llm: 'decoupled' } })
  const response = (id: string): Uint8Array => {
    const inferResponse = { modelName: 'llm', modelVersion: '', id, parameters: {}, outputs: [], rawOutputContents: [] }
    const body = ModelStreamInferResponse.encode({ errorMessage: '', inferResponse }).finish()
    const framed = Buffer.alloc(5 + body.length)
    framed.writeUInt32BE(body.length, 1)
    framed.set(body, 5)
    return framed
  }
  const stream = play.send(STREAM, message('llm', 10, { id: '1' }), false)
  const second = message('llm', 10, { id: '2' })
  stream.sendData(second, 0, second.length, true)
  play.move()
  expect([play.served().length, play.service.desk.waiting.get('default')]).toEqual([1, 1])
  const [first] = play.far('a').requests
  first?.sendHead(OK_HEAD, false)
  const bytes = response('1')
  for (let count = 0; count < 3; count++) first?.sendData(bytes, 0, bytes.length, false)
  first?.sendTrailers(OK_END)
  play.move()
  expect(play.served()).toHaveLength(2)
  answer(play.asked('a'), response('2'))
  play.move()
  expect(play.client.bytes.get(stream)?.length).toBe(3 * bytes.length + response('2').length)
  expect(endOf(play, stream)).toBe(`${stream.id} trailers 0`)
  play.expectClean()
})
