/** One port for all who come without TLS: HTTP/2 by prior knowledge, HTTP/1.1, and PROXY headers in front of either, told apart by the first bytes. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PREFACE } from '../../data-plane/http2/protocol.ts'
import { PROXY_SIGNATURE } from '../../data-plane/wire/first-bytes.ts'
import { connectPlain, sayAndHear } from '../tools/first-bytes-client.ts'
import { ask, connectGrpc } from '../tools/grpc-session.ts'
import { startProxy, type TestProxy } from '../tools/proxy.ts'
import { FRAME, FRAME_HEAD } from '../tools/raw-h2.ts'
import { MODEL_INFER, startSim, type TestSim, tokenRequest } from '../tools/sim-server.ts'

const PATIENCE_MS = 20_000

let sim: TestSim
let proxy: TestProxy
let behindBalancer: TestProxy

beforeAll(async () => {
  sim = await startSim('--listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0')
  const endpoints = [{ id: 'a/sim', address: sim.listen }]
  ;[proxy, behindBalancer] = await Promise.all([
    startProxy(endpoints),
    startProxy(endpoints, '--proxy-protocol-from', '127.0.0.1,10.0.0.0/8'),
  ])
})
afterAll(async () => {
  await Promise.all([proxy?.stop(), behindBalancer?.stop(), sim?.stop()])
})

const PROXIED = Buffer.concat([
  PROXY_SIGNATURE,
  Buffer.from('211100130c0a0b0c7f00000130391ce8', 'hex'),
  Buffer.from('04000401020304', 'hex'),
])
const get = (path: string, connection = 'close'): string => `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: ${connection}\r\n\r\n`
/** What an HTTP/2 server says first. */
const isSettings = (bytes: Buffer): boolean => bytes.length >= FRAME_HEAD && bytes[3] === FRAME.SETTINGS
const refused = (of: TestProxy, reason: string): Promise<number> => of.metric('millrace_connections_refused_total', `reason="${reason}"`)

test('HTTP/1.1 on the port of gRPC answers health and readiness', async () => {
  expect(await sayAndHear(proxy.listen, get('/healthz'))).toMatch(/^HTTP\/1\.1 200 [\s\S]*\r\n\r\nok\n$/)
  expect(await sayAndHear(proxy.listen, get('/readyz'))).toMatch(/^HTTP\/1\.1 200 [\s\S]*1 endpoints\n$/)
  const unready = await startProxy([])
  expect(await sayAndHear(unready.listen, get('/readyz'))).toMatch(/^HTTP\/1\.1 503 /)
  await unready.stop()
})

test('whatever else is asked over HTTP/1.1 is told what the port is for, also with a body that nobody wants', async () => {
  expect(await sayAndHear(proxy.listen, get('/v2/health/live'))).toMatch(/^HTTP\/1\.1 404 [\s\S]*gRPC over HTTP\/2/)
  const post =
    'POST /inference.GRPCInferenceService/ModelInfer HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\ncontent-length: 5\r\n\r\n'
  expect(await sayAndHear(proxy.listen, post)).toMatch(/^HTTP\/1\.1 415 [\s\S]*HTTP\/1\.1 does not exist/)
})

test('requests follow one another on one HTTP/1.1 connection', async () => {
  const client = await connectPlain(proxy.listen)
  client.socket.write(get('/healthz', 'keep-alive') + get('/healthz', 'keep-alive'))
  client.socket.write(get('/readyz', 'close'))
  expect((await client.answer).match(/HTTP\/1\.1 200/g)).toHaveLength(3)
})

test('HTTP/1.1 that comes byte by byte is recognised', async () => {
  const client = await connectPlain(proxy.listen)
  await client.sayByteByByte(Buffer.from(get('/healthz')))
  expect(await client.answer).toMatch(/^HTTP\/1\.1 200 /)
})

test('HTTP/2 that comes byte by byte is recognised', async () => {
  const client = await connectPlain(proxy.listen)
  const settings = new Promise<Buffer>((resolve) => client.socket.once('data', resolve))
  await client.sayByteByByte(Buffer.from(`${PREFACE}\0\0\0\x04\0\0\0\0\0`, 'latin1'))
  expect(isSettings(await settings)).toBe(true)
  client.socket.destroy()
})

test('a head larger than the limit is refused, and neighbours of the port go on', async () => {
  const large = `GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(40_000)}\r\n\r\n`
  expect(await sayAndHear(proxy.listen, large)).toMatch(/^HTTP\/1\.1 431 /)
  const session = await connectGrpc(proxy.listen)
  expect(await ask(session, MODEL_INFER, tokenRequest({ tokens: 1 }))).toMatchObject({ status: 0 })
  session.destroy()
})

test('what is no protocol of this port is closed without a word, and counted', async () => {
  expect(await sayAndHear(proxy.listen, Buffer.of(0, 1, 2, 3))).toBe('')
  expect(await sayAndHear(proxy.listen, Buffer.of(0x16, 3, 1, 0, 5))).toBe('')
  expect(await sayAndHear(proxy.listen, Buffer.concat([PROXIED, Buffer.from(get('/healthz'))]))).toBe('')
  await expect.poll(() => refused(proxy, 'unknown-protocol')).toBe(1)
  await expect.poll(() => refused(proxy, 'tls-off')).toBe(1)
  await expect.poll(() => refused(proxy, 'proxy-header-unwanted')).toBe(1)
})

test('behind a balancer, a PROXY header leads both protocols, whole or byte by byte', async () => {
  const http1 = Buffer.concat([PROXIED, Buffer.from(get('/healthz'))])
  expect(await sayAndHear(behindBalancer.listen, http1)).toMatch(/^HTTP\/1\.1 200 /)
  const slow = await connectPlain(behindBalancer.listen)
  await slow.sayByteByByte(http1)
  expect(await slow.answer).toMatch(/^HTTP\/1\.1 200 /)
  const http2 = await connectPlain(behindBalancer.listen)
  const settings = new Promise<Buffer>((resolve) => http2.socket.once('data', resolve))
  http2.socket.write(PROXIED)
  http2.socket.write(PREFACE)
  expect(isSettings(await settings)).toBe(true)
  http2.socket.destroy()
  await expect.poll(() => behindBalancer.metric('millrace_connections_total', 'protocol="proxied"')).toBe(3)
})

test('whoever stops before it is known what it speaks is closed in the end, and counted', async () => {
  const silent = await Promise.all([connectPlain(proxy.listen), connectPlain(proxy.listen), connectPlain(behindBalancer.listen)])
  silent[1]?.socket.write('PR')
  silent[2]?.socket.write(PROXIED.subarray(0, 20))
  expect(await Promise.all(silent.map((client) => client.answer))).toEqual(['', '', ''])
  await expect.poll(() => refused(proxy, 'silent')).toBe(2)
  await expect.poll(() => refused(behindBalancer, 'silent')).toBe(1)
})

test('behind a balancer, an absent header and one that cannot be read are refused, with the client’s address in the log', async () => {
  const bad = Buffer.from(PROXIED)
  bad[13] = 0x12
  expect(await sayAndHear(behindBalancer.listen, bad)).toBe('')
  expect(await sayAndHear(behindBalancer.listen, PREFACE)).toBe('')
  await expect.poll(() => refused(behindBalancer, 'proxy-header-malformed')).toBe(1)
  await expect.poll(() => refused(behindBalancer, 'proxy-header-missing')).toBe(1)
  expect(await behindBalancer.part.waitForLine(/client\.refused/, PATIENCE_MS)).toContain('127.0.0.1:')
  const named = Buffer.concat([PROXIED, Buffer.of(0)])
  expect(await sayAndHear(behindBalancer.listen, named)).toBe('')
  expect(await behindBalancer.part.waitForLine(/12\.10\.11\.12:12345/, PATIENCE_MS)).toContain('unknown-protocol')
})
