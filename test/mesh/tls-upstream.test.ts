/** TLS between the proxy and its endpoints: servers prove who they are before they get a byte of a request, and files change under running streams. */
import { once } from 'node:events'
import { copyFileSync, renameSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect } from 'node:net'
import { createServer } from 'node:tls'
import { ServerCredentials } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { splitHostPort } from '../../core/edge/listen.ts'
import type { EndpointTls } from '../../core/mesh-snapshot.ts'
import { type Certificate, CertificateFolder } from '../tools/certificates.ts'
import { ask, connectGrpc, type GrpcSession } from '../tools/grpc-session.ts'
import { startNats } from '../tools/nats.ts'
import { startProxy, staticSnapshot, type TestEndpoint, type TestProxy } from '../tools/proxy.ts'
import { MODEL_INFER, tokenRequest } from '../tools/sim-server.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'
import { ECHO, startTestService, type TestService, UNARY } from '../tools/test-service.ts'

const folder = new CertificateFolder()
let ca: Certificate
let strangers: Certificate
const closers: (() => unknown)[] = []

beforeAll(() => {
  ca = folder.authority()
  strangers = folder.authority('strangers')
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})
afterAll(() => folder.remove())

const FREE = '127.0.0.1:0'
const seconds = { timeout: 30_000 }

async function serve({ cert, key }: Certificate, clientCa?: Certificate): Promise<TestService> {
  const pair = [{ cert_chain: cert, private_key: key }]
  const service = await startTestService(ServerCredentials.createSsl(clientCa?.cert ?? null, pair, clientCa !== undefined))
  closers.push(() => service.stop())
  return service
}

async function proxyTo(endpoints: readonly TestEndpoint[]): Promise<{ readonly proxy: TestProxy; readonly session: GrpcSession }> {
  const proxy = await startProxy(endpoints)
  closers.push(() => proxy.stop())
  const session = await connectGrpc(proxy.listen)
  closers.push(() => session.destroy())
  return { proxy, session }
}

const call = (session: GrpcSession) => ask(session, UNARY, Buffer.from('hello'))

test('a server is called when its certificate is for its address, its host, its server name, or holds its identity', async () => {
  const cases: readonly (readonly [names: string, more: EndpointTls, host?: string])[] = [
    ['IP:127.0.0.1', {}],
    ['DNS:localhost', {}, 'localhost'],
    ['DNS:gpu-a.internal', { serverName: 'gpu-a.internal' }],
    ['DNS:gpu-a.internal,DNS:other', { identity: 'gpu-a.internal' }],
    ['URI:spiffe://mesh/ns/gpu/triton', { identity: 'spiffe://mesh/ns/gpu/*' }],
  ]
  const endpoints = await Promise.all(
    cases.map(async ([names, more, host = '127.0.0.1'], i) => {
      const { address } = await serve(folder.issue(ca, { names }))
      return { id: `case-${i}`, address: address.replace('127.0.0.1', host), tls: { ca: ca.certFile, ...more } }
    }),
  )
  const { session } = await proxyTo(endpoints)
  const answered = new Set<unknown>()
  const callAgain = async (): Promise<number> => {
    const { status, messages, headers } = await call(session)
    expect({ status, said: messages.map(String) }).toEqual({ status: 0, said: ['hello'] })
    return answered.add(headers['x-millrace-endpoint']).size
  }
  await expect.poll(callAgain, seconds).toBe(cases.length)
})

test('a server that cannot prove itself gets no request and is ejected, and the caller and the log are told why', async () => {
  const cases: readonly (readonly [issue: Certificate, more: EndpointTls, words: string])[] = [
    [folder.issue(ca, { days: -1 }), {}, 'its certificate has expired'],
    [folder.issue(strangers), {}, 'an authority that is not trusted here'],
    [folder.issue(ca, { names: 'DNS:gpu-b.internal' }), {}, 'its certificate is not for 127.0.0.1'],
    [folder.issue(ca), { identity: 'spiffe://mesh/triton' }, 'and not spiffe://mesh/triton'],
  ]
  const endpoints = await Promise.all(
    cases.map(async ([issue, more], i) => {
      const { address } = await serve(issue)
      return { id: `case-${i}`, address, models: [`case-${i}`], tls: { ca: ca.certFile, ...more } }
    }),
  )
  const { proxy, session } = await proxyTo(endpoints)
  const routes = cases.map((_, i) => ({ prefix: `/case-${i}/`, model: `case-${i}` }))
  proxy.put({ ...staticSnapshot(endpoints), routes })
  await proxy.part.waitForLine(/static\.read/, seconds.timeout)
  // The routes are the last thing that reaches the workers.
  await expect.poll(async () => (await ask(session, '/case-3/Call', Buffer.from('hello'))).status, seconds).toBe(14)
  for (const [i, [, , words]] of cases.entries()) {
    const { status, details } = await ask(session, `/case-${i}/Call`, Buffer.from('hello'))
    expect({ status, details }).toEqual({ status: 14, details: expect.stringContaining(words) })
    expect(await proxy.part.waitForLine(new RegExp(`case-${i}.*endpoint\\.ejected`), seconds.timeout)).toContain(words)
  }
  await expect.poll(() => proxy.metric('millrace_endpoint_ejected'), seconds).toBe(cases.length)
  // What is asked of one of them changes, and it is called: the server knows no such method, and says so itself.
  const asked = endpoints.map((one) => (one.id === 'case-3' ? { ...one, tls: { ca: ca.certFile } } : one))
  proxy.put({ ...staticSnapshot(asked), routes })
  await expect.poll(async () => (await ask(session, '/case-3/Call', Buffer.from('hello'))).status, seconds).toBe(12)
})

test('a server that speaks in clear, or no HTTP/2, is no endpoint for TLS', async () => {
  const clear = await startTestService()
  closers.push(() => clear.stop())
  const first = await proxyTo([{ id: 'a/secure', address: clear.address, tls: { ca: ca.certFile } }])
  expect(await call(first.session)).toMatchObject({ status: 14, details: expect.stringContaining('what it sends is not TLS') })
  const { cert, key } = folder.issue(ca)
  const server = createServer({ cert, key }, (socket) => socket.on('error', () => {}))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => server.close())
  const second = await proxyTo([
    { id: 'a/secure', address: `127.0.0.1:${(server.address() as AddressInfo).port}`, tls: { ca: ca.certFile } },
  ])
  expect(await call(second.session)).toMatchObject({ status: 14, details: expect.stringContaining('HTTP/2 by ALPN') })
})

test('a server that wants a certificate gets the proxy’s, and stays away from one that has none', async () => {
  const { address } = await serve(folder.issue(ca), ca)
  const own = folder.issue(ca, { names: 'URI:spiffe://mesh/proxy' })
  const known = await proxyTo([{ id: 'a/secure', address, tls: { ca: ca.certFile, cert: own.certFile, key: own.keyFile } }])
  expect(await call(known.session)).toMatchObject({ status: 0 })
  const unknown = await proxyTo([{ id: 'a/secure', address, tls: { ca: ca.certFile } }])
  const { status, details } = await call(unknown.session)
  expect(status).toBe(14)
  expect(details).toContain('the peer wants a certificate of us')
  await expect.poll(() => unknown.proxy.metric('millrace_endpoint_ejected'), seconds).toBe(1)
})

test('files that change are read again by themselves, and what is wrong never replaces what is good', async () => {
  const { address } = await serve(folder.issue(ca))
  const file = folder.file('trusted.crt')
  const place = (from: string): void => {
    copyFileSync(from, `${file}.new`)
    renameSync(`${file}.new`, file)
  }
  place(strangers.certFile)
  const { proxy, session } = await proxyTo([{ id: 'a/secure', address, tls: { ca: file } }])
  expect(await call(session)).toMatchObject({ status: 14 })
  place(ca.certFile)
  await expect.poll(async () => (await call(session)).status, seconds).toBe(0)
  const back: string[] = []
  const stream = session.open(ECHO, { onMessage: (message) => void back.push(message.toString()) })
  stream.send(Buffer.from('before'))
  await expect.poll(() => back.length, seconds).toBe(1)
  writeFileSync(file, 'nothing of use')
  // A second endpoint with the same files has a connection of its own to make.
  proxy.put({ endpoints: [{ id: 'b/secure', address, tls: { ca: file } }], routes: [ROUTE] })
  await expect.poll(() => proxy.part.stderr.join('\n'), seconds).toContain('static.read')
  await expect.poll(async () => (await call(session)).headers['x-millrace-endpoint'], seconds).toBe('b/secure')
  expect(await call(session)).toMatchObject({ status: 0 })
  await expect.poll(() => proxy.part.stderr.filter((line) => line.includes('tls.refused')), seconds).toHaveLength(1)
  stream.send(Buffer.from('after'))
  stream.halfClose()
  expect(await stream.ended).toMatchObject({ status: 0 })
  expect(back).toEqual(['before', 'after'])
})

const ROUTE = { prefix: '/grpc.testing.TestService/', model: 'alone' }

test('files that cannot be used at all are told of in the log, and the caller learns no path', async () => {
  const { address } = await serve(folder.issue(ca))
  const { proxy, session } = await proxyTo([{ id: 'a/secure', address, tls: { ca: folder.file('nowhere.crt') } }])
  const { status, details } = await call(session)
  expect(status).toBe(14)
  expect(details).not.toContain('nowhere')
  expect(await proxy.part.waitForLine(/endpoint\.ejected/, seconds.timeout)).toContain('nowhere.crt: there is no such file')
})

test('endpoints that a control plane names are spoken to by TLS where the proxy’s settings say so', async () => {
  const nats = await startNats()
  closers.push(() => nats.stop())
  const part = async (verb: string, ...argv: readonly string[]): Promise<Part> => {
    const started = await spawnPart(verb, argv)
    closers.push(() => started.stop())
    return started
  }
  const [control, sim] = await Promise.all([
    part('control-plane', '--listen', FREE, '--metrics-listen', FREE, '--nats', nats.url),
    part('sim-server', '--listen', FREE, '--http-listen', FREE),
  ])
  const { listen = '', http = '' } = sim.fields
  const { cert, key } = folder.issue(ca, { names: 'URI:spiffe://mesh/ns/gpu/sim' })
  // What ends TLS next to a model server: the server itself speaks in clear.
  const sidecar = createServer({ cert, key, ALPNProtocols: ['h2'] }, (socket) => {
    const inner = connect(splitHostPort(listen))
    socket.pipe(inner).pipe(socket)
    for (const one of [socket, inner]) one.on('error', () => {})
  })
  sidecar.listen(0, '127.0.0.1')
  await once(sidecar, 'listening')
  closers.push(() => void sidecar.close())
  const advertised = `127.0.0.1:${(sidecar.address() as AddressInfo).port}`
  const server = ['--server-name', 'sim', '--server-grpc', listen, '--server-http', http, '--server-metrics', `http://${http}/metrics`]
  await part('agent', '--node', 'a', '--nats', nats.url, '--metrics-listen', FREE, '--simulated', ...server, '--advertise', advertised)
  const secured = ['--endpoint-tls', '--endpoint-tls-ca', ca.certFile, '--endpoint-tls-identity', 'spiffe://mesh/ns/gpu/*']
  const argv = ['--control-plane', control.fields.listen ?? '', '--listen', FREE, '--metrics-listen', FREE]
  const proxy = await part('data-plane', ...argv, ...secured)
  const session = await connectGrpc(proxy.fields.listen ?? '')
  closers.push(() => session.destroy())
  await expect.poll(async () => (await ask(session, MODEL_INFER, tokenRequest({ tokens: 1 }))).status, { timeout: 30_000 }).toBe(0)
})
