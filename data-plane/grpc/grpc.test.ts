import { expect, test } from 'vitest'
import { type Millis, millis } from '../../core/units.ts'
import { headerField } from '../http2/header-field.ts'
import { MessageWalker } from './message-walker.ts'
import { readRequestHead, upstreamHead } from './request-head.ts'
import { percentEncode, statusOf, trailersOnly } from './status.ts'
import { parseTimeout, timeoutField } from './timeout.ts'

test('messages are counted and torn ones known, wherever a read is cut', () => {
  const bytes = Buffer.concat([
    Buffer.from([0, 0, 0, 0, 3, 1, 2, 3]),
    Buffer.from([0, 0, 0, 0, 0]),
    Buffer.from([0, 0, 0, 1, 0]),
    Buffer.alloc(256),
  ])
  for (let step = 1; step <= bytes.length; step++) {
    const walker = new MessageWalker()
    for (let at = 0; at < bytes.length; at += step) walker.feed(bytes, at, Math.min(bytes.length, at + step))
    expect([walker.messages, walker.torn]).toEqual([3, false])
    walker.feed(bytes, 0, 6)
    expect(walker.torn).toBe(true)
  }
})

test.each([
  ['1S', 1_000],
  ['250m', 250],
  ['1500u', 1.5],
  ['2M', 120_000],
  ['1H', 3_600_000],
  ['99999999n', 99.999999],
])('grpc-timeout %s is %d ms', (text, ms) => expect(parseTimeout(text)).toBeCloseTo(ms, 9))

test.each(['', 'S', '1', '1s', '-1S', '1.5S', '123456789S', ' 1S'])('grpc-timeout %j is refused', (text) =>
  expect(parseTimeout(text)).toBeUndefined(),
)

const written = (left: Millis): string => timeoutField(left).text

test('what remains of a deadline is rounded up, never to nothing, and never longer than eight digits', () => {
  expect(written(millis(1.5))).toBe('1500u')
  expect(written(millis(0.0001))).toBe('1u')
  expect(written(millis(30_000))).toBe('30000000u')
  expect(written(millis(100_000))).toBe('100000m')
  expect(written(millis(1e15))).toBe('99999999H')
  for (const ms of [0.0003, 7, 99_999, 100_000, 1e7, 1e9, 1e12]) expect(parseTimeout(written(millis(ms))) ?? 0).toBeGreaterThanOrEqual(ms)
})

const GOOD = [
  headerField(':method', 'POST'),
  headerField(':scheme', 'http'),
  headerField(':path', '/a.B/C'),
  headerField(':authority', 'x'),
  headerField('content-type', 'application/grpc+proto'),
  headerField('te', 'trailers'),
  headerField('grpc-timeout', '5S'),
  headerField('x-millrace-endpoint', 'forged'),
  headerField('grpc-previous-rpc-attempts', '4'),
  headerField('authorization', 'Bearer k'),
]

test('a head goes on with its own fields, the hop’s written anew, and nothing that a client may not say', () => {
  const head = readRequestHead(GOOD)
  if ('kind' in head) throw new Error(head.kind)
  expect([head.path, head.isGrpc, head.timeout, head.encoding]).toEqual(['/a.B/C', true, 5_000, 'identity'])
  const names = upstreamHead(head, headerField(':path', '/d.E/F'), 1, millis(4_000)).map(
    (field) => `${field.name}=${Buffer.from(field.value).toString()}`,
  )
  expect(names).toEqual([
    ':method=POST',
    ':scheme=http',
    ':path=/d.E/F',
    ':authority=x',
    'te=trailers',
    'grpc-timeout=4000000u',
    'grpc-previous-rpc-attempts=1',
    'content-type=application/grpc+proto',
    'authorization=Bearer k',
  ])
})

test.each([
  ['a pseudo field behind others', [...GOOD, headerField(':path', '/x')]],
  ['an unknown pseudo field', [headerField(':proto', 'x'), ...GOOD]],
  ['two paths', [headerField(':path', '/x'), ...GOOD]],
  ['no method', GOOD.slice(1)],
  ['a connection field', [...GOOD, headerField('connection', 'close')]],
  ['te that is not trailers', [...GOOD, headerField('te', 'gzip')]],
])('%s is malformed', (_name, fields) => expect(readRequestHead(fields)).toEqual({ kind: 'malformed' }))

test('only a POST of application/grpc is gRPC', () => {
  const isGrpc = (method: string, type: string) => {
    const head = readRequestHead([
      headerField(':method', method),
      headerField(':scheme', 'http'),
      headerField(':path', '/'),
      headerField('content-type', type),
    ])
    return 'kind' in head ? head.kind : head.isGrpc
  }
  expect([
    isGrpc('POST', 'application/grpc'),
    isGrpc('GET', 'application/grpc'),
    isGrpc('POST', 'application/grpc-web'),
    isGrpc('POST', 'text/html'),
  ]).toEqual([true, false, false, false])
})

test('a status is read back from trailers, and nonsense is none', () => {
  expect(statusOf(trailersOnly(14, 'full'))).toBe(14)
  expect(statusOf([headerField('grpc-status', '0')])).toBe(0)
  expect([statusOf([]), statusOf([headerField('grpc-status', 'x')]), statusOf([headerField('grpc-status', '')])]).toEqual([
    undefined,
    undefined,
    undefined,
  ])
})

test('a message is percent-encoded as UTF-8, its blank ends too', () => {
  expect(percentEncode('5 % of ä\n')).toBe('5 %25 of %C3%A4%0A')
  expect(percentEncode(' a b ')).toBe('%20a b%20')
})
