import { expect, test } from 'vitest'
import { PREFACE } from '../http2/protocol.ts'
import { PROXY_SIGNATURE, recognise } from './first-bytes.ts'

const told = (text: string | Uint8Array): string => {
  const bytes = Buffer.from(text as string, 'latin1')
  return recognise(bytes, bytes.length)
}

test.each([
  [PREFACE, 'http2'],
  [PREFACE.slice(0, 3), 'http2'],
  ['PRI * HTTP/1.1\r\n', 'http1'],
  ['GET / HTTP/1.1\r\n', 'http1'],
  ['POST /', 'http1'],
  ['PUT', 'http1'],
  ['PROXY TCP4 1.2.3.4', 'http1'],
  [Buffer.of(0x16, 3, 1), 'tls'],
  [Buffer.of(0x16, 2), 'unknown'],
  [PROXY_SIGNATURE, 'proxy'],
  ['\r\nGET /', 'unknown'],
  [Buffer.of(0), 'unknown'],
  [Buffer.of(0x80, 0x2e), 'unknown'],
])('%j begins %s', (bytes, spoken) => {
  expect(told(bytes)).toBe(spoken)
})

test.each([
  ['http2', PREFACE],
  ['http1', 'PUT / HTTP/1.1\r\n'],
  ['tls', Buffer.of(0x16, 3, 1, 2)],
  ['proxy', PROXY_SIGNATURE],
])('%s is recognised byte by byte, and never taken for something else on the way', (spoken, text) => {
  const bytes = Buffer.from(text as string, 'latin1')
  const seen = Array.from({ length: bytes.length + 1 }, (_, length) => recognise(bytes, length))
  expect(new Set(seen)).toEqual(new Set(['more', spoken]))
  expect(seen.lastIndexOf('more')).toBeLessThan(seen.indexOf(spoken as never))
})

test('bytes beyond the length are of another read', () => {
  expect(recognise(Buffer.from('GET '), 0)).toBe('more')
  expect(recognise(Buffer.from('PRI * X'), 2)).toBe('more')
})
