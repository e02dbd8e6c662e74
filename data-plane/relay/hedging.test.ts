/** Plays of requests that are sent twice: because an answer is late, or because a server said when to come again. */
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { HedgeRule, Model } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import { headerField } from '../http2/header-field.ts'
import { ERROR } from '../http2/protocol.ts'
import type { Stream } from '../http2/stream.ts'
import { LatencyQuantile } from '../routing/latency-quantile.ts'
import { answer, INFER, message, OK_END, OK_HEAD, STREAM, type StageOptions, stage } from '../testing/stage.ts'

const AFTER_MS = 200
const status = (code: number, ...more: [string, string][]) => [
  ...OK_HEAD,
  headerField('grpc-status', String(code)),
  ...more.map(([name, value]) => headerField(name, value)),
]

/** A request that waited so long for its answer that a second endpoint was asked. */
function hedged(options: StageOptions = {}, path = INFER, names: readonly string[] = ['a', 'b', 'c']) {
  const play = stage(names, { hedge: { afterMs: AFTER_MS }, ...options })
  const body = message('llm', 5_000)
  play.send(path, body)
  const [first = ''] = play.served()
  play.pass(AFTER_MS + 20)
  const second = play.served().find((name) => name !== first) ?? ''
  return { ...play, body, first, second, last: () => play.client.heard.at(-1) }
}
const burnt = (play: ReturnType<typeof hedged>): void => {
  play.ledger.expire(play.later())
  play.expectClean()
}

describe('an answer that is late', () => {
  test('is asked of a second endpoint with the same bytes, and not before its time', () => {
    const play = stage(['a', 'b'], { hedge: { afterMs: AFTER_MS } })
    const body = message('llm', 5_000)
    play.send(INFER, body)
    play.pass(AFTER_MS - 20)
    expect(play.served().length).toBe(1)
    play.pass(60)
    expect(play.served().sort()).toEqual(['a', 'b'])
    for (const name of ['a', 'b']) expect(play.far(name).bytes.get(play.asked(name))).toEqual(Uint8Array.from(body))
    expect(['a', 'b'].filter((name) => play.far(name).heard[0]?.match(/ trailers 1 application/)).length).toBe(1)
    expect([play.ledger.open, play.tally.hedges, play.tally.retries]).toEqual([2, 1, 0])
  })

  test('of the second that comes first is the client’s; the first endpoint is told to stop and stays charged for a while', () => {
    const play = hedged({ nameEndpoints: true })
    answer(play.asked(play.second), message('x'))
    play.move()
    expect(play.client.heard).toEqual([`1 head 200,application/grpc,${play.second},2`, '1 trailers 0'])
    expect(play.far(play.first).heard.at(-1)).toBe(`1 reset ${ERROR.CANCEL}`)
    expect([play.ledger.open, play.ledger.burning, play.slot(play.first).burning, play.tally.hedgesWon]).toEqual([0, 1, 1, 1])
    burnt(play)
  })

  test('of the first calls the second off', () => {
    const play = hedged({ nameEndpoints: true })
    answer(play.asked(play.first), message('x'))
    play.move()
    expect(play.client.heard[0]).toContain(`,${play.first},2`)
    expect(play.far(play.second).heard.at(-1)).toBe(`1 reset ${ERROR.CANCEL}`)
    expect([play.slot(play.second).burning, play.slot(play.second).failures, play.tally.hedgesWon]).toEqual([1, 0, 0])
    burnt(play)
  })

  const FAILURES: readonly [string, (stream: Stream) => void][] = [
    ['resets', (stream) => stream.reset(ERROR.INTERNAL_ERROR)],
    ['refuses', (stream) => stream.reset(ERROR.REFUSED_STREAM)],
    ['is full', (stream) => stream.sendHead(status(14), true)],
    ['has no room', (stream) => stream.sendHead(status(8), true)],
    ['fails', (stream) => stream.sendHead(status(13), true)],
    ['speaks no gRPC', (stream) => stream.sendHead([headerField(':status', '502')], true)],
  ]

  test.each(FAILURES)('is still waited for from the other when one %s', (_name, fail) => {
    for (const one of ['first', 'second'] as const) {
      const play = hedged()
      const other = one === 'first' ? 'second' : 'first'
      fail(play.asked(play[one]))
      play.move()
      expect([play.client.heard, play.ledger.open, play.served().length]).toEqual([[], 1, 2])
      answer(play.asked(play[other]), message('x'))
      play.move()
      expect(play.last()).toBe('1 trailers 0')
      burnt(play)
    }
  })

  test('is asked of a third endpoint when both have failed, within the attempts that a request has', () => {
    const play = hedged()
    for (const name of [play.first, play.second]) {
      play.asked(name).reset(ERROR.INTERNAL_ERROR)
      play.move()
    }
    const third = play.served().find((name) => name !== play.first && name !== play.second) as string
    answer(play.asked(third), message('x'))
    play.move()
    expect([play.last(), play.tally.retries]).toEqual(['1 trailers 0', 1])
    play.expectClean()
  })

  test('that says what the caller did wrong is an answer', () => {
    const play = hedged()
    play.asked(play.second).sendHead(status(3, ['grpc-message', 'no such input']), true)
    play.move()
    expect(play.last()).toContain('3,no such input end')
    burnt(play)
  })

  test.each<[string, (stream: Stream, play: ReturnType<typeof hedged>) => void]>([
    ['a cancel', (stream) => stream.reset(ERROR.CANCEL)],
    ['a deadline', (_stream, play) => play.pass(5_000)],
  ])('is called off at both by %s', (_name, stop) => {
    const play = stage(['a', 'b'], { hedge: { afterMs: AFTER_MS } })
    const stream = play.send(INFER, message('llm'), true, headerField('grpc-timeout', '3S'))
    play.pass(AFTER_MS + 20)
    stop(stream, play as ReturnType<typeof hedged>)
    play.move()
    for (const name of ['a', 'b']) expect(play.far(name).heard.at(-1)).toBe(`1 reset ${ERROR.CANCEL}`)
    expect([play.ledger.open, play.ledger.burning]).toEqual([0, 2])
    play.ledger.expire(play.later())
    play.expectClean()
  })

  test('is not waited for longer than its model allows, on either', () => {
    const play = hedged({ timeouts: { firstByteMs: 500 } }, INFER, ['a', 'b'])
    play.pass(300)
    expect([play.ledger.open, play.client.heard]).toEqual([1, []])
    play.pass(520)
    expect(play.last()).toContain('14,the server sent no first message in time')
    burnt(play)
  })

  test('of one request among several of a stream is hedged like any other', () => {
    const play = stage(['a', 'b', 'c'], { hedge: { afterMs: AFTER_MS }, kinds: { llm: 'decoupled' } })
    const both = Buffer.concat([message('llm'), message('llm')])
    play.send(STREAM, both, true)
    play.pass(AFTER_MS + 20)
    expect([play.ledger.open, play.tally.hedges]).toEqual([4, 2])
    const asked = ['a', 'b', 'c'].flatMap((name) => play.far(name).requests)
    for (const stream of asked) {
      if (!stream.closed) answer(stream, message('x'))
      play.move()
    }
    expect(play.client.heard.at(-1)).toBe('1 trailers 0')
    play.ledger.expire(play.later())
    play.expectClean()
  })
})

describe('under another name', () => {
  const hedge = { afterMs: AFTER_MS }
  const byAlias: StageOptions = { rows: [{ name: 'llm', policy: 'ROUND_ROBIN', aliases: ['the-long-name'], hedge }], nameEndpoints: true }
  const bytesAt = (play: ReturnType<typeof stage>, name: string) => play.far(name).bytes.get(play.asked(name))
  const late = (options: StageOptions, body: Uint8Array, path = INFER, names: readonly string[] = ['a', 'b', 'c']) => {
    const play = stage(names, options)
    const stream = play.send(path, body, true, headerField('content-length', String(body.length)))
    const [first = ''] = play.served()
    play.pass(AFTER_MS + 20)
    return { ...play, stream, first, second: play.served().find((name) => name !== first) ?? '' }
  }

  test('the second endpoint is asked by its own name too, and either may win', () => {
    for (const winner of ['first', 'second'] as const) {
      const body = message('the-long-name', 90_000)
      const play = late(byAlias, body)
      for (const name of [play.first, play.second]) expect(bytesAt(play, name)).toEqual(Uint8Array.from(message('llm', 90_000)))
      expect(play.far(play.second).heard).toEqual([expect.not.stringContaining(String(body.length)), '1 end'])
      answer(play.asked(play[winner]), message('x'))
      play.move()
      expect(play.client.heard).toEqual([`1 head 200,application/grpc,${play[winner]},2,llm`, '1 trailers 0'])
      play.ledger.expire(play.later())
      play.expectClean()
    }
  })

  test('a compressed request is inflated for both', () => {
    const body = gzipSync(message('the-long-name', 3_000).subarray(5))
    const framed = Buffer.concat([Buffer.from([1, 0, 0, body.length >>> 8, body.length & 0xff]), body])
    const play = stage(['a', 'b'], byAlias)
    play.send(INFER, framed, true, headerField('grpc-encoding', 'gzip'))
    play.pass(AFTER_MS + 20)
    for (const name of ['a', 'b']) expect(bytesAt(play, name)).toEqual(Uint8Array.from(message('llm', 3_000)))
  })

  test('what a slow endpoint has not taken waits for each by itself', () => {
    const play = stage(['a', 'b'], byAlias)
    for (const name of ['a', 'b']) play.far(name).hold = true
    const stream = play.send(INFER, message('the-long-name', 150_000))
    const [first = ''] = play.served()
    const second = first === 'a' ? 'b' : 'a'
    play.pass(AFTER_MS + 20)
    expect([stream.waitingBytes, play.tally.hedges, play.served().length]).toEqual([0, 1, 2])
    for (const name of [first, second]) {
      const taken = bytesAt(play, name) as Uint8Array
      expect(taken.length).toBeLessThan(150_000)
      play.far(name).hold = false
      play.asked(name).returnCredit(taken.length, true)
      play.move()
      expect(bytesAt(play, name)).toEqual(Uint8Array.from(message('llm', 150_000)))
    }
    answer(play.asked(second), message('x'))
    play.move()
    expect(play.client.heard.at(-1)).toBe('1 trailers 0')
    play.ledger.expire(play.later())
    play.expectClean()
  })

  test('when both have failed, a third endpoint is asked by its name as well', () => {
    const play = late(byAlias, message('the-long-name', 5_000))
    for (const name of [play.first, play.second]) {
      play.asked(name).reset(ERROR.INTERNAL_ERROR)
      play.move()
    }
    const third = play.served().find((name) => name !== play.first && name !== play.second) as string
    expect(bytesAt(play, third)).toEqual(Uint8Array.from(message('llm', 5_000)))
  })

  test('each of several requests of a stream is hedged, too', () => {
    const play = stage(['a', 'b', 'c'], { ...byAlias, kinds: { llm: 'decoupled' } })
    play.send(STREAM, Buffer.concat([message('the-long-name'), message('the-long-name')]))
    play.pass(AFTER_MS + 20)
    expect([play.ledger.open, play.tally.hedges]).toEqual([4, 2])
    for (const name of ['a', 'b', 'c'])
      for (const one of play.far(name).requests) expect(play.far(name).bytes.get(one)).toEqual(Uint8Array.from(message('llm')))
  })

  const row = (name: string, more: Partial<Model> = {}): Model => ({ name, policy: 'ROUND_ROBIN', ...more })
  const SMALL = { c: ['small'], d: ['small'] }
  const ALL = { a: ['llm'], b: ['llm'], ...SMALL }
  const to = { split: [{ model: 'small', weight: 1 }] }

  test.each<[string, Readonly<Record<string, readonly string[]>>, Model[], number]>([
    ['a split leads to one that asks for it', ALL, [row('llm', to), row('small', { hedge })], 1],
    ['a split leads away from one that asks for it', ALL, [row('llm', { hedge, ...to }), row('small')], 0],
    ['a fall-back that asks for it serves alone', SMALL, [row('llm', { fallbacks: ['small'] }), row('small', { hedge })], 1],
    ['a fall-back serves in the place of one that asks for it', SMALL, [row('llm', { hedge, fallbacks: ['small'] }), row('small')], 0],
  ])('the rule is that of the model that serves: %s', (_what, models, rows, hedges) => {
    const play = late({ models, rows }, message('llm', 500), INFER, Object.keys(models))
    expect([play.tally.hedges, play.first]).toEqual([hedges, expect.stringMatching(/[cd]/)])
    for (const name of play.served()) expect(bytesAt(play, name)).toEqual(Uint8Array.from(message('small', 500)))
  })

  test.each<[string, HedgeRule | undefined, number]>([
    ['by the rule of that model', { afterMs: 2 * AFTER_MS }, 1],
    ['not where that model does not ask for it', undefined, 0],
  ])('a request that fell back after a failure is asked of the model that it fell back to alone: %s', (_what, rule, hedges) => {
    const rows = [row('llm', { hedge, fallbacks: ['small'], retry: { attempts: 1 } }), row('small', { hedge: rule })]
    const play = stage(Object.keys(ALL), { models: ALL, rows })
    play.send(INFER, message('llm'))
    play.asked(play.served()[0] as string).reset(ERROR.REFUSED_STREAM)
    play.move()
    expect(play.served()).toEqual([expect.stringMatching(/[ab]/), expect.stringMatching(/[cd]/)])
    play.pass(AFTER_MS + 20)
    expect([play.served().length, play.tally.hedges]).toEqual([2, 0])
    play.pass(AFTER_MS + 20)
    expect([play.served().length, play.tally.hedges]).toEqual([2 + hedges, hedges])
    const asked = play.served().filter((name) => name in SMALL)
    for (const name of asked) expect(bytesAt(play, name)).toEqual(Uint8Array.from(message('small')))
    answer(play.asked(asked[0] as string), message('x'))
    play.move()
    play.ledger.expire(play.later())
    play.expectClean()
  })
})

describe('nothing is sent twice', () => {
  const waits = (play: ReturnType<typeof stage>): void => {
    const before = play.served().length
    play.pass(AFTER_MS + 20)
    play.pass(AFTER_MS + 20)
    expect([play.served().length - before, play.tally.hedges]).toEqual([0, 0])
  }
  const hedging = { hedge: { afterMs: AFTER_MS } }

  test('whose model does not ask for it', () => {
    const play = stage(['a', 'b'])
    play.send(INFER, message('llm'))
    waits(play)
  })

  test('that is not whole', () => {
    const play = stage(['a', 'b'], hedging)
    play.send(INFER, message('llm'), false)
    waits(play)
  })

  test('that is too long to be kept', () => {
    const play = stage(['a', 'b'], hedging)
    play.send(INFER, message('llm', limits.retryCopyMax + 1_000))
    waits(play)
  })

  test('whose answer has begun', () => {
    const play = stage(['a', 'b'], hedging)
    play.send(INFER, message('llm'))
    play.asked(play.served()[0] as string).sendHead(OK_HEAD, false)
    play.move()
    waits(play)
  })

  test('that belongs to a sequence', () => {
    const play = stage(['a', 'b'], hedging)
    play.send(INFER, message('llm', 10, { parameters: { sequence_id: { parameterChoice: { $case: 'int64Param', value: 7n } } } }))
    waits(play)
  })

  test('where nobody else serves', () => {
    const play = stage(['a', 'b'], hedging)
    play.slot('b').outlier = 'latency'
    play.routing.resort(play.slot('b'))
    play.send(INFER, message('llm'))
    waits(play)
  })

  test('when the budget is spent', () => {
    const play = stage(['a', 'b'], hedging)
    for (let i = 0; i < 2 * limits.retryTokensMax; i++) play.send(INFER, message('llm'))
    play.pass(AFTER_MS + 20)
    expect(play.tally.hedges).toBe(limits.retryTokensMax)
  })
})

describe('a quantile of times to first byte', () => {
  test('is unknown until a hundred were seen, then right within its buckets, and follows change', () => {
    const quantile = new LatencyQuantile(0.95)
    for (let i = 1; i < limits.hedgeSamplesMin; i++) quantile.record(millis(i))
    expect(quantile.read()).toBeUndefined()
    quantile.record(millis(100))
    expect(quantile.read()).toBeGreaterThanOrEqual(95)
    expect(quantile.read()).toBeLessThan(95 * 1.1)
    for (let i = 0; i < 20_000; i++) quantile.record(millis(1_000 + (i % 100)))
    expect(quantile.read()).toBeGreaterThanOrEqual(1_090)
    expect(quantile.read()).toBeLessThan(1_200)
  })

  test.each([0, 0.001, 1e12])('bears %d ms', (ms) => {
    const quantile = new LatencyQuantile(0.5)
    for (let i = 0; i < 200; i++) quantile.record(millis(ms))
    expect(quantile.read()).toBeGreaterThan(0)
  })

  test('tells how late is late', () => {
    const play = stage(['a', 'b'], { hedge: { quantile: 0.95 } })
    const ask = (ms: number): void => {
      const before = new Map(['a', 'b'].map((name) => [name, play.far(name).requests.length]))
      play.send(INFER, message('llm'))
      play.pass(ms)
      for (const name of ['a', 'b'])
        for (const stream of play.far(name).requests.slice(before.get(name))) if (!stream.closed) answer(stream, message('x'))
      play.move()
    }
    for (let i = 0; i < limits.hedgeSamplesMin; i++) ask(i % 10 === 9 ? 200 : 100)
    expect(play.tally.hedges).toBe(0)
    ask(180)
    expect(play.tally.hedges).toBe(0)
    ask(300)
    expect(play.tally.hedges).toBe(1)
  })
})

describe('a server that is full and says when to come again', () => {
  const full = (pushback: string, options: StageOptions = {}, ...fields: ReturnType<typeof headerField>[]) => {
    const play = stage(['a', 'b'], options)
    play.send(INFER, message('llm'), true, ...fields)
    const [first = ''] = play.served()
    play.asked(first).sendHead(status(14, ['grpc-retry-pushback-ms', pushback]), true)
    play.move()
    return play
  }

  test('is waited for, and then another is asked', () => {
    const play = full('300')
    play.pass(280)
    expect([play.served().length, play.ledger.open, play.client.heard]).toEqual([1, 0, []])
    play.pass(40)
    expect([play.served().length, play.tally.retries]).toEqual([2, 1])
    for (const name of ['a', 'b']) if (!play.asked(name).closed) answer(play.asked(name), message('x'))
    play.move()
    expect(play.client.heard.at(-1)).toBe('1 trailers 0')
    play.expectClean()
  })

  test.each([
    ['-1', 'forbids it'],
    ['soon', 'cannot be read'],
    ['', 'says nothing'],
    [String(limits.retryPauseMax + 1), 'asks for longer than we wait'],
  ])('with a pushback of "%s", which %s, is not asked again: the client gets its answer', (pushback) => {
    const play = full(pushback)
    expect(play.client.heard[0]).toContain('14')
    expect([play.served().length, play.tally.retries]).toEqual([1, 0])
    play.expectClean()
  })

  test('is not waited for beyond the deadline', () => {
    const play = full('3000', {}, headerField('grpc-timeout', '1S'))
    expect(play.client.heard[0]).toContain('14')
    play.expectClean()
  })

  test('is asked again itself when nobody else is left', () => {
    const play = stage(['a'])
    play.send(INFER, message('llm'))
    play.asked('a').sendHead(status(14, ['grpc-retry-pushback-ms', '100']), true)
    play.move()
    play.pass(140)
    answer(play.asked('a'), message('x'), OK_END)
    play.move()
    expect([play.served().length, play.client.heard.at(-1)]).toEqual([2, '1 trailers 0'])
    play.expectClean()
  })

  test('leaves nothing behind when the client goes meanwhile', () => {
    const play = full('5000')
    for (const stream of play.client.connection.streams.values()) stream.reset(ERROR.CANCEL)
    play.move()
    play.pass(6_000)
    expect(play.served().length).toBe(1)
    play.expectClean()
  })
})

describe('attempts of one request', () => {
  test.each([
    [undefined, 3],
    [1, 1],
    [2, 2],
    [5, 5],
  ])('are at most what its model’s row says (%s), also where every server takes requests and dies', (attempts, wanted) => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
    const play = stage(names, attempts === undefined ? {} : { retry: { attempts } })
    play.send(INFER, message('llm'))
    for (let i = 0; i < names.length; i++)
      for (const name of names)
        if (play.far(name).requests.some((stream) => !stream.closed)) {
          play.backs.get(name)?.near.connection.lose('broken')
          play.move()
        }
    expect(play.tally.byStatus[14]).toBe(1)
    expect(play.client.heard.at(-1)).toContain('14')
    expect(play.served().length).toBe(wanted)
    expect(play.ledger.open).toBe(0)
  })
})
