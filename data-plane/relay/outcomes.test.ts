/** What each way in which an attempt can end says of its endpoint, whether or not the client has been promised an answer, alone or in a lane. */
import { expect, test } from 'vitest'
import { type HeaderField, headerField } from '../http2/header-field.ts'
import { ERROR } from '../http2/protocol.ts'
import type { Stream } from '../http2/stream.ts'
import { answer, INFER, message, OK_HEAD, STREAM, stage } from '../testing/stage.ts'

type Play = ReturnType<typeof stage>
type Act = (asked: Stream, play: Play, client: Stream) => void

const status = (code: number): HeaderField => headerField('grpc-status', String(code))
/** Behind a head as trailers, else as a whole answer. */
const says =
  (code: number): Act =>
  (asked) => {
    if (begun.has(asked)) asked.sendTrailers([status(code)])
    else asked.sendHead([...OK_HEAD, status(code)], true)
  }
const resets =
  (code: number): Act =>
  (asked) =>
    asked.reset(code)
const http =
  (code: number): Act =>
  (asked) =>
    asked.sendHead([headerField(':status', String(code)), headerField('content-type', 'text/plain')], true)
const loses =
  (cause: 'broken' | 'unreachable' | 'unprocessed'): Act =>
  (_asked, play) =>
    play.backs.get('a')?.near.connection.lose(cause)
const noStatus: Act = (asked) => void asked.sendData(new Uint8Array(0), 0, 0, true)

const begun = new WeakSet<Stream>()
const scored = (play: Play): string[] => {
  const { successes, backpressures, failures } = play.slot('a')
  return Object.entries({ success: successes, backpressure: backpressures, failure: failures }).flatMap(([name, count]) =>
    count > 0 ? [name] : [],
  )
}

type Case = { readonly name: string; readonly act: Act; readonly before: string; readonly behind?: string }
const answered = ([codes, outcome]: readonly [readonly number[], string]): Case[] =>
  codes.map((code) => ({ name: `status ${code}`, act: says(code), before: outcome, behind: outcome }))

const CASES: readonly Case[] = [
  ...(
    [
      [[0], 'success'],
      [[8, 14], 'backpressure'],
      [[2, 13, 15], 'failure'],
      [[1, 3, 4, 5, 6, 7, 9, 10, 11, 12, 16], ''],
    ] as const
  ).flatMap(answered),
  { name: 'REFUSED_STREAM', act: resets(ERROR.REFUSED_STREAM), before: 'backpressure', behind: 'failure' },
  { name: 'ENHANCE_YOUR_CALM', act: resets(ERROR.ENHANCE_YOUR_CALM), before: 'backpressure', behind: 'backpressure' },
  { name: 'INTERNAL_ERROR', act: resets(ERROR.INTERNAL_ERROR), before: 'failure', behind: 'failure' },
  { name: 'CANCEL by the server', act: resets(ERROR.CANCEL), before: 'failure', behind: 'failure' },
  { name: 'HTTP 429', act: http(429), before: 'backpressure' },
  { name: 'HTTP 503', act: http(503), before: 'backpressure' },
  { name: 'HTTP 502', act: http(502), before: 'failure' },
  { name: 'an end without a status', act: noStatus, before: 'failure', behind: 'failure' },
  { name: 'a lost connection', act: loses('broken'), before: 'failure', behind: 'failure' },
  { name: 'no connection', act: loses('unreachable'), before: 'failure' },
  { name: 'a server that goes away', act: loses('unprocessed'), before: 'backpressure' },
  { name: 'a deadline', act: (_asked, play) => play.pass(60_000), before: '', behind: '' },
  { name: 'a cancel', act: (_asked, _play, client) => client.reset(ERROR.CANCEL), before: '', behind: '' },
]
const DEADLINE = headerField('grpc-timeout', '50S')

const begin = (asked: Stream, play: Play): void => {
  begun.add(asked)
  asked.sendHead(OK_HEAD, false)
  asked.sendData(message('x'), 0, message('x').length, false)
  play.move()
}

test.each(CASES)('$name before an answer is scored "$before"', ({ act, before }) => {
  const play = stage(['a'])
  const client = play.send(INFER, message('llm'), true, DEADLINE)
  for (let tries = 0; tries < 3 && play.ledger.open > 0; tries++) {
    act(play.asked('a'), play, client)
    play.move()
  }
  expect([scored(play).join(), play.ledger.open]).toEqual([before, 0])
})

test.each(CASES.flatMap((one) => (one.behind === undefined ? [] : [{ ...one, behind: one.behind }])))(
  '$name behind a head is scored "$behind"',
  ({ act, behind }) => {
    const play = stage(['a'])
    const client = play.send(INFER, message('llm'), true, DEADLINE)
    begin(play.asked('a'), play)
    expect(scored(play)).toEqual([])
    act(play.asked('a'), play, client)
    play.move()
    expect([scored(play).join(), play.ledger.open]).toEqual([behind, 0])
  },
)

test.each(CASES.filter(({ name }) => !name.startsWith('HTTP') && !/deadline|cancel|connection|goes away/.test(name)))(
  '$name is scored "$before" also when it ends one request of several',
  ({ act, before, behind }) => {
    for (const early of [true, false]) {
      const play = stage(['a'], { kinds: { llm: 'decoupled' } })
      const both = Buffer.concat([message('llm'), message('llm')])
      const client = play.send(STREAM, both, false)
      const asked = play.asked('a')
      if (!early) begin(asked, play)
      act(asked, play, client)
      play.move()
      // What nobody has looked at was sent again, and waits for its answer.
      expect(scored(play).join()).toBe(early ? before : behind)
      expect(play.ledger.open).toBe(play.far('a').requests.length > 2 ? 2 : 1)
    }
  },
)

test.each([
  { name: 'the server, when it has the whole request', ended: true, wanted: 'failure' },
  { name: 'nobody, while the client is still sending', ended: false, wanted: '' },
])('a limit of time that passes is blamed on $name', ({ ended, wanted }) => {
  for (const answering of [false, true]) {
    const play = stage(['a'], { timeouts: { idleMs: 300 } })
    play.send(INFER, message('llm'), ended)
    if (answering) begin(play.asked('a'), play)
    for (let i = 0; i < 6; i++) play.pass(100)
    expect([scored(play).join(), play.ledger.open]).toEqual([wanted, 0])
  }
})

test('a reader who takes nothing is no fault of the server', () => {
  const play = stage(['a'], { timeouts: { idleMs: 300 } })
  play.client.hold = true
  play.send(STREAM, message('llm'))
  const asked = play.asked('a')
  asked.sendHead(OK_HEAD, false)
  const body = message('x', 200_000)
  asked.sendData(body, 0, body.length, false)
  play.move()
  for (let i = 0; i < 6; i++) play.pass(100)
  expect([scored(play), play.ledger.open]).toEqual([[], 0])
})

test('an endpoint that breaks five answers in a row gets no request for a while, then few', () => {
  const play = stage(['a', 'b', 'c'])
  const sent: Record<string, number> = { a: 0, b: 0, c: 0 }
  const round = (requests: number): Record<string, number> => {
    for (const name of ['a', 'b', 'c']) sent[name] = 0
    for (let i = 0; i < requests; i++) {
      const before = play.served().length
      play.send(INFER, message('llm'))
      for (let tries = 0; play.served().length > before + tries; tries++) {
        const name = ['a', 'b', 'c'].find((one) => play.far(one).requests.some((stream) => !seen.has(stream))) as string
        const asked = play.asked(name)
        seen.add(asked)
        sent[name] = (sent[name] ?? 0) + 1
        if (name === 'a') asked.reset(ERROR.INTERNAL_ERROR)
        else answer(asked, message('x'))
        play.move()
      }
    }
    return { ...sent }
  }
  const seen = new Set<Stream>()
  expect(round(60).a).toBe(5)
  expect(play.outlierNews).toEqual(['a out failures-in-row'])
  expect(round(60).a).toBe(0)
  play.expectClean()
})
