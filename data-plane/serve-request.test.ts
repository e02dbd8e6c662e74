/** Plays of the whole story in memory. */
import { describe, expect, test } from 'vitest'
import { limits } from '../core/limits.ts'
import { millis } from '../core/units.ts'
import { headerField } from './http2/header-field.ts'
import { ERROR } from './http2/protocol.ts'
import type { Stream } from './http2/stream.ts'
import { answer, INFER, message, OK_END, OK_HEAD, STREAM, stage } from './testing/stage.ts'

test('a request goes to an endpoint of its model with its path rewritten, and its answer comes back byte for byte', () => {
  const play = stage(['a'], { nameEndpoints: true })
  const body = message('llm', 40_000)
  const stream = play.send('/millrace.inference.v1.InferenceService/Infer', body)
  expect(play.far('a').heard[0]).toContain(INFER)
  expect(play.far('a').bytes.get(play.asked('a'))).toEqual(Uint8Array.from(body))
  expect(play.ledger.open).toBe(1)
  answer(play.asked('a'), message('out', 30_000))
  play.move()
  expect(play.client.heard).toEqual(['1 head 200,application/grpc,a,1', '1 trailers 0'])
  expect(play.client.bytes.get(stream)).toEqual(Uint8Array.from(message('out', 30_000)))
  play.expectClean()
})

test('a stream opened on HEADERS alone waits for its first message; a routed service does not', () => {
  const play = stage(['a'])
  play.send(STREAM, undefined, false)
  expect(play.served()).toEqual([])
  play.send('/any.Service/Call', undefined, false)
  expect(play.served()).toEqual(['a'])
})

test('a routed request that ends with its head ends upstream with its head, once', () => {
  const play = stage(['a'])
  play.send('/any.Service/Call')
  expect(play.far('a').heard).toEqual(['1 request POST http /any.Service/Call trailers application/grpc end'])
  expect(play.far('a').fatal).toBeUndefined()
  play.asked('a').sendHead([...OK_HEAD, ...OK_END], true)
  play.move()
  play.expectClean()
})

test.each([
  ['GRPC', `model "llm" is served by another gRPC service than KServe's only: call that service, by a prefix under "routes"`],
  ['HTTP', 'model "llm" is served by HTTP only: this proxy passes no requests on to HTTP'],
] as const)('a request for a model that only %s endpoints serve is refused, and told so', (protocol, words) => {
  const play = stage(['a'], { protocols: { a: protocol } })
  play.send(INFER, message('llm'))
  expect(play.client.heard.at(-1)).toContain('12')
  expect(decodeURIComponent(play.client.heard.at(-1) ?? '')).toContain(words)
  expect(play.served()).toEqual([])
  expect(play.tally.refusals).toEqual({ 'other-protocol': 1 })
  play.expectClean()
})

test('what any server can answer is asked of one that serves, whatever models it names', () => {
  const play = stage(['a', 'b'], { models: { a: ['echo'], b: ['add'] }, protocols: { a: 'HTTP' } })
  play.send('/inference.GRPCInferenceService/ServerMetadata', message(''))
  expect(play.served()).toEqual(['b'])
  answer(play.asked('b'), message('x'))
  play.move()
  play.expectClean()
})

test('a routed request goes to who speaks another gRPC service, and never to HTTP', () => {
  const play = stage(['a', 'b'], { protocols: { a: 'GRPC', b: 'HTTP' } })
  for (let count = 0; count < 3; count++) play.send('/any.Service/Call')
  expect(play.served()).toEqual(['a', 'a', 'a'])
  const none = stage(['b'], { protocols: { b: 'HTTP' } })
  none.send('/any.Service/Call')
  expect(none.tally.refusals).toEqual({ 'other-protocol': 1 })
})

test('what breaks before the answer is tried on another endpoint with the same bytes', () => {
  const body = message('llm', 5_000)
  for (const failing of [
    (stream: Stream) => stream.reset(ERROR.INTERNAL_ERROR),
    (stream: Stream) => stream.reset(ERROR.REFUSED_STREAM),
    (stream: Stream) => stream.sendHead([...OK_HEAD, headerField('grpc-status', '14')], true),
  ]) {
    const play = stage(['a', 'b'])
    play.send(INFER, body)
    const [first] = play.served() as ['a' | 'b']
    const second = first === 'a' ? 'b' : 'a'
    failing(play.asked(first))
    play.move()
    expect(play.far(second).heard[0]).toContain(INFER)
    expect(play.far(second).bytes.get(play.asked(second))).toEqual(Uint8Array.from(body))
    answer(play.asked(second), message('x'))
    play.move()
    expect(play.client.heard.at(-1)).toBe('1 trailers 0')
    expect(play.tally.retries).toBe(1)
    play.expectClean()
  }
})

test('when every endpoint is full the client gets the last one’s own answer', () => {
  const play = stage(['a', 'b'])
  play.send(INFER, message('llm'))
  for (const name of [...play.served(), play.served()[0] === 'a' ? 'b' : 'a']) {
    play.asked(name).sendHead([...OK_HEAD, headerField('grpc-status', '14'), headerField('grpc-message', 'queue of size 3 is full')], true)
    play.move()
  }
  expect(play.client.heard).toEqual(['1 head 200,application/grpc,14,queue of size 3 is full end'])
  expect(play.tally.retries).toBe(1)
  play.expectClean()
})

test('behind a response head nothing is tried again, and a broken answer never ends well', () => {
  const torn = message('x', 100).subarray(0, 50)
  for (const [body, wanted] of [
    [message('x'), '1 trailers 14,'],
    [torn, `1 reset ${ERROR.INTERNAL_ERROR}`],
  ] as const) {
    const play = stage(['a', 'b'])
    play.send(STREAM, message('llm'))
    const [name] = play.served() as [string]
    play.asked(name).sendHead(OK_HEAD, false)
    play.asked(name).sendData(body, 0, body.length, false)
    play.move()
    play.backs.get(name)?.near.connection.lose('broken')
    play.move()
    expect(play.client.heard.at(-1)).toContain(wanted)
    expect([play.served().length, play.tally.retries]).toEqual([1, 0])
    expect([play.ledger.open, play.tally.open]).toEqual([0, 0])
  }
})

test('a cancel goes upstream at once, and the endpoint stays charged until the limit passes', () => {
  const play = stage(['a'])
  const stream = play.send(STREAM, message('llm'), false)
  stream.reset(ERROR.CANCEL)
  play.move()
  expect(play.far('a').heard.at(-1)).toBe(`1 reset ${ERROR.CANCEL}`)
  expect([play.ledger.open, play.ledger.burning]).toEqual([0, 1])
  play.ledger.expire(millis(1_000 + limits.burningMax))
  expect(play.ledger.burning).toBe(0)
  play.expectClean()
})

test('a deadline is passed on as what is left of it, and ends both sides when it passes', () => {
  const play = stage(['a'])
  play.send(STREAM, undefined, false, headerField('grpc-timeout', '500m'))
  play.pass(100)
  const stream = [...play.client.connection.streams.values()][0] as Stream
  stream.sendData(message('llm'), 0, message('llm').length, true)
  play.move()
  expect(play.far('a').heard[0]).toMatch(/request POST/)
  play.pass(450)
  expect(play.client.heard).toEqual(['1 head 200,application/grpc,4,the deadline passed end'])
  expect(play.far('a').heard.at(-1)).toBe(`1 reset ${ERROR.CANCEL}`)
  play.ledger.expire(millis(1e9))
  play.expectClean()
})

test.each([false, true])(
  'a server that cancels at the deadline is late, not broken, also before our own timer says so (answer begun: %s)',
  (begun) => {
    const play = stage(['a', 'b'])
    play.send(INFER, message('llm'), true, headerField('grpc-timeout', '30m'))
    const [chosen = ''] = play.served()
    if (begun) play.asked(chosen).sendHead(OK_HEAD, false)
    play.pass(10)
    play.tick(20)
    play.asked(chosen).reset(ERROR.CANCEL)
    play.move()
    expect(play.client.heard.at(-1)).toMatch(begun ? /^1 trailers 4,/ : /^1 head 200,application\/grpc,4,/)
    expect(play.served()).toEqual([chosen])
    expect(play.tally.byStatus[4]).toBe(1)
    expect(play.complaints).toEqual([])
  },
)

test('a server that cancels before the deadline has failed', () => {
  const play = stage(['a'])
  play.send(INFER, message('llm'), true, headerField('grpc-timeout', '30m'))
  play.asked('a').reset(ERROR.CANCEL)
  play.move()
  expect(play.tally.byStatus[14]).toBe(1)
})

test('an attempt that takes too long is stopped and tried elsewhere; the endpoint stays charged for a while', () => {
  const play = stage(['a', 'b'], { timeouts: { firstByteMs: 300 } })
  play.send(INFER, message('llm'))
  const [slow] = play.served() as ['a' | 'b']
  play.pass(280)
  expect(play.served()).toEqual([slow])
  play.pass(60)
  const other = slow === 'a' ? 'b' : 'a'
  expect(play.far(slow).heard.at(-1)).toBe(`1 reset ${ERROR.CANCEL}`)
  expect([play.tally.slowAttempts, play.ledger.open, play.ledger.burning]).toEqual([1, 1, 1])
  answer(play.asked(other), message('x'))
  play.move()
  expect(play.client.heard.at(-1)).toBe('1 trailers 0')
  play.expectClean()
})

test('when nobody is in time the client learns it; behind a response head the answer ends, never well', () => {
  const alone = stage(['a'], { timeouts: { perTryMs: 300 } })
  alone.send(INFER, message('llm'))
  alone.pass(400)
  expect(alone.client.heard).toEqual(['1 head 200,application/grpc,14,the server did not finish within the time for one attempt end'])
  alone.expectClean()
  const streaming = stage(['a', 'b'], { timeouts: { idleMs: 300 } })
  streaming.send(STREAM, message('llm'))
  const [name] = streaming.served() as [string]
  streaming.asked(name).sendHead(OK_HEAD, false)
  for (let i = 0; i < 5; i++) {
    streaming.asked(name).sendData(message('x'), 0, message('x').length, false)
    streaming.move()
    streaming.pass(200)
  }
  expect(streaming.tally.slowAttempts).toBe(0)
  for (let i = 0; i < 5; i++) streaming.pass(100)
  expect(streaming.client.heard.at(-1)).toBe('1 trailers 14,nothing moved in either direction for too long')
  expect(streaming.served().length).toBe(1)
  streaming.expectClean()
})

test('a stream without a first message is ended in time', () => {
  const play = stage(['a'])
  play.send(STREAM, undefined, false)
  play.pass(limits.firstMessageTimeout + 50)
  expect(play.client.heard[0]).toContain('no whole first message')
  play.expectClean()
})

test('a far deadline gives a first message no more time; behind the message it is what counts', () => {
  const play = stage(['a'])
  play.send(STREAM, undefined, false, headerField('grpc-timeout', '99999999H'))
  play.pass(limits.firstMessageTimeout + 50)
  expect(play.client.heard[0]).toContain('no whole first message')
  play.expectClean()
  const patient = stage(['a'])
  patient.send(INFER, message('llm'), true, headerField('grpc-timeout', '60S'))
  patient.pass(limits.firstMessageTimeout + 50)
  expect(patient.client.heard).toEqual([])
  patient.pass(60_000 - limits.firstMessageTimeout)
  expect(patient.client.heard).toEqual(['1 head 200,application/grpc,4,the deadline passed end'])
})

describe('a request that is not gRPC', () => {
  const ask = (method: string) => {
    const play = stage(['a'])
    const fields = [
      [':method', method],
      [':scheme', 'http'],
      [':path', '/'],
    ].map(([name = '', value = '']) => headerField(name, value))
    const stream = play.client.connection.open(fields, false)
    stream.sink = play.client.sink
    const send = (bytes: number, end: boolean): void => {
      stream.sendData(Buffer.alloc(bytes), 0, bytes, end)
      play.move()
    }
    play.move()
    const said = (): string => Buffer.from(play.client.bytes.get(stream) ?? []).toString()
    return { play, send, said }
  }

  test('is heard out and answered with a line of text', () => {
    const { play, send, said } = ask('POST')
    send(1_000, false)
    expect(play.client.heard).toEqual([])
    send(0, true)
    expect(play.client.heard[0]).toContain('head 415,text/plain')
    expect(said()).toMatch(/^this port speaks gRPC.*\n$/)
    expect(play.client.heard.at(-1)).toBe('1 end')
  })

  test('is not listened to for ever, nor however much it says', () => {
    const silent = ask('POST')
    silent.play.pass(limits.firstMessageTimeout + 50)
    expect(silent.play.client.heard[0]).toContain('head 415')
    const long = ask('PUT')
    long.send(limits.scanBudget + 1, false)
    expect(long.play.client.heard[0]).toContain('head 415')
  })

  test('gets no body where HTTP has none', () => {
    const { play, send, said } = ask('HEAD')
    send(0, true)
    expect([play.client.heard[0], said()]).toEqual([expect.stringMatching(/head 415.* end$/), ''])
  })
})

test.each([
  ['an unknown model', INFER, message('nobody'), '5,no endpoint serves model "nobody"'],
  ['an unknown method', '/x.Y/Z', undefined, '12,no route for /x.Y/Z'],
  [
    'a method that is off',
    '/inference.GRPCInferenceService/RepositoryModelLoad',
    undefined,
    '7,/inference.GRPCInferenceService/RepositoryModelLoad is off',
  ],
  ['a call without a message', INFER, undefined, '3,the request carries no message'],
  ['a stream without a message, which is none', STREAM, undefined, '1 head 200,application/grpc,0 end'],
])('%s is answered by the proxy', (_name, path, body, wanted) => {
  const play = stage(['a'])
  play.send(path, body)
  expect(play.client.heard[0]).toContain(wanted)
  expect(play.served()).toEqual([])
  play.expectClean()
})

test('a request that outgrows the retry copy is committed: it is relayed whole and not tried again', () => {
  const play = stage(['a', 'b'])
  const body = message('llm', limits.retryCopyMax + 50_000)
  play.send(INFER, body)
  const [name] = play.served() as [string]
  expect(play.far(name).bytes.get(play.asked(name))?.length).toBe(body.length)
  expect(play.service.retryCopies.left).toBe(limits.retryCopiesMax)
  play.asked(name).reset(ERROR.INTERNAL_ERROR)
  play.move()
  expect([play.served().length, play.tally.retries]).toEqual([1, 0])
  expect(play.client.heard[0]).toContain('14,the server reset the stream (code 2)')
  play.expectClean()
})

test('a load that a server tells with its answer is heard, and goes on to the client as it came', () => {
  const play = stage(['a'])
  const end = (text: string) => {
    play.send(INFER, message('llm'))
    const asked = play.asked('a')
    asked.sendHead(OK_HEAD, false)
    asked.sendData(message('out'), 0, message('out').length, false)
    asked.sendTrailers([...OK_END, headerField('endpoint-load-metrics', text)])
    play.move()
  }
  end('TEXT named_metrics.num_requests_waiting=2')
  end('TEXT nonsense')
  expect([play.tally.loadsInBand, play.tally.loadsUnreadable]).toEqual([1, 1])
  expect(play.client.heard.at(-1)).toContain('TEXT nonsense')
  play.expectClean()
})
