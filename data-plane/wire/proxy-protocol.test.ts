import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { PROXY_SIGNATURE } from './first-bytes.ts'
import { ProxyRanges, parseRange, readProxyHeader } from './proxy-protocol.ts'

const header = (command: number, family: number, block: Uint8Array): Buffer =>
  Buffer.concat([PROXY_SIGNATURE, Buffer.of(command, family, block.length >> 8, block.length & 255), block])
const V4 = Buffer.of(192, 0, 2, 7, 10, 0, 0, 1, 0x30, 0x39, 0x1c, 0xe8)
const V6 = Buffer.concat([Buffer.from('20010db8000000000000000000000007', 'hex'), Buffer.alloc(16), Buffer.of(0x30, 0x39, 0, 80)])
const TLV = Buffer.of(3, 0, 4, 1, 2, 3, 4)

test.each([
  ['an IPv4 client', header(0x21, 0x11, V4), { length: 28, client: '192.0.2.7:12345' }],
  ['an IPv6 client', header(0x21, 0x21, V6), { length: 52, client: '[2001:db8:0:0:0:0:0:7]:12345' }],
  ['a client on a unix socket', header(0x21, 0x31, Buffer.alloc(216)), { length: 232, client: 'unix' }],
  ['what follows the address', header(0x21, 0x11, Buffer.concat([V4, TLV])), { length: 35, client: '192.0.2.7:12345' }],
  ['a health check of the balancer', header(0x20, 0, Buffer.alloc(0)), { length: 16 }],
  ['an address of no known family', header(0x21, 0, TLV), { length: 23 }],
])('%s is read, and the bytes behind it are not the header’s', (_, bytes, read) => {
  const more = Buffer.concat([bytes, Buffer.from('PRI')])
  expect(readProxyHeader(more, more.length)).toEqual(read)
  for (let length = PROXY_SIGNATURE.length; length < bytes.length; length++) expect(readProxyHeader(bytes, length)).toBe('more')
})

test.each([
  ['another version', header(0x11, 0x11, V4)],
  ['an unknown command', header(0x22, 0x11, V4)],
  ['datagrams', header(0x21, 0x12, V4)],
  ['an address that is cut short', header(0x21, 0x11, V4.subarray(0, 8))],
  ['more than is kept', Buffer.concat([PROXY_SIGNATURE, Buffer.of(0x21, 0x11, 0xff, 0xff)])],
])('%s is malformed', (_, bytes) => {
  expect(readProxyHeader(bytes, bytes.length)).toBe('malformed')
})

test('the largest header that is taken is whole at the limit', () => {
  const bytes = header(0x21, 0x11, Buffer.concat([V4, Buffer.alloc(limits.proxyHeaderMax - 28)]))
  expect(readProxyHeader(bytes, bytes.length)).toMatchObject({ length: limits.proxyHeaderMax })
})

test('ranges hold addresses of both families, also when a v4 client comes over a v6 listener', () => {
  const ranges = new ProxyRanges(['10.0.0.0/8', '127.0.0.1', 'fd00::/8'])
  expect(['10.9.8.7', '127.0.0.1', '::ffff:10.1.1.1', 'fd00::1'].map((one) => ranges.has(one))).toEqual([true, true, true, true])
  expect(['11.0.0.1', '127.0.0.2', 'fe80::1', ''].map((one) => ranges.has(one))).toEqual([false, false, false, false])
})

test.each(['10.0.0.0/33', '10.0.0', 'fd00::/129', '10.0.0.0/8/8', '10.0.0.0/', 'host'])('%s is no range', (text) => {
  expect(parseRange(text)).toBeUndefined()
})
