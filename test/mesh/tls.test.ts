/** TLS on the listener: what is agreed with real clients, who is let in under mTLS, and certificates that change while streams run. */
import { renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { get } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { Client, credentials } from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { PREFACE } from '../../data-plane/http2/protocol.ts'
import { PROXY_SIGNATURE } from '../../data-plane/wire/first-bytes.ts'
import { type Certificate, CertificateFolder } from '../tools/certificates.ts'
import { connectPlain, sayAndHear } from '../tools/first-bytes-client.ts'
import { ask, connectGrpc } from '../tools/grpc-session.ts'
import { startProxy, type TestProxy } from '../tools/proxy.ts'
import { MODEL_INFER, MODEL_STREAM_INFER, startSim, type TestSim, tokenRequest } from '../tools/sim-server.ts'
import { ECHO, payloadOf, startTestService, type TestService } from '../tools/test-service.ts'
import { connectTls, dribble, sayOverTls, shakeHands } from '../tools/tls-client.ts'

const folder = new CertificateFolder()
let ca: Certificate
let strangers: Certificate
let leaf: Certificate
let sim: TestSim
let service: TestService
let open: TestProxy
let closed: TestProxy

const HTTP1 = 'GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n'
const servedBy = (pair: Certificate): string[] => ['--tls-cert', pair.certFile, '--tls-key', pair.keyFile]
const refused = (of: TestProxy, reason: string): Promise<number> => of.metric('millrace_connections_refused_total', `reason="${reason}"`)
const asks = async (address: string, tls?: Parameters<typeof connectGrpc>[1]): Promise<unknown> => {
  const session = await connectGrpc(address, tls)
  const { status } = await ask(session, MODEL_INFER, tokenRequest({ tokens: 1 }))
  session.destroy()
  return status
}
const seconds = { timeout: 30_000 }

beforeAll(async () => {
  ca = folder.authority()
  strangers = folder.authority('strangers')
  leaf = folder.issue(ca)
  ;[sim, service] = await Promise.all([startSim('--listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0'), startTestService()])
  const endpoints = [
    { id: 'a/sim', address: sim.listen, models: ['sim_llm'] },
    { id: 'a/service', address: service.address, models: ['alone'] },
  ]
  const mutual = ['--tls-client-ca', ca.certFile, '--tls-client-identities', 'client.example, spiffe://mesh/ns/prod/*']
  ;[open, closed] = await Promise.all([
    startProxy(endpoints, ...servedBy(leaf), '--workers', '2'),
    startProxy(endpoints, ...servedBy(leaf), ...mutual),
  ])
})
afterAll(async () => {
  await Promise.all([open?.stop(), closed?.stop(), sim?.stop()])
  service?.stop()
  folder.remove()
})

test.each(['TLSv1.3', 'TLSv1.2'] as const)('HTTP/2 is agreed by ALPN over %s', async (version) => {
  const tls = { ca: ca.cert, minVersion: version, maxVersion: version }
  const socket = await shakeHands(open.listen, { ...tls, ALPNProtocols: ['h2', 'http/1.1'] })
  expect([socket.getProtocol(), socket.alpnProtocol]).toEqual([version, 'h2'])
  socket.destroy()
  expect(await asks(open.listen, tls)).toBe(0)
})

test('TLS 1.1 is refused, and the log says why', async () => {
  const old = { ca: ca.cert, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  await expect(shakeHands(open.listen, old)).rejects.toThrow(/protocol version/)
  await open.part.waitForLine(/client\.refused/, seconds.timeout)
  await expect.poll(() => open.part.stderr.join('\n'), seconds).toContain('it offers no TLS version from 1.2 on')
})

test('a client that offers other protocols only is told so by TLS itself', async () => {
  await expect(shakeHands(open.listen, { ca: ca.cert, ALPNProtocols: ['spdy/3'] })).rejects.toThrow(/application protocol/)
})

test('@grpc/grpc-js calls through TLS', async () => {
  const client = new Client(open.listen, credentials.createSsl(ca.cert))
  const asIs = (bytes: Buffer): Buffer => bytes
  const answer = await new Promise<Buffer>((resolve, reject) =>
    client.makeUnaryRequest(MODEL_INFER, asIs, asIs, Buffer.from(tokenRequest({ tokens: 1 })), (error, bytes) =>
      error === null && bytes !== undefined ? resolve(bytes) : reject(error),
    ),
  )
  expect(answer.length).toBeGreaterThan(0)
  client.close()
})

test('megabytes come through TLS whole, both ways', async () => {
  const session = await connectGrpc(open.listen, { ca: ca.cert })
  const sent = Array.from({ length: 12 }, (_, i) => payloadOf(i, [1, 700_000, 16_384, 65_536][i % 4] as number))
  const back: Buffer[] = []
  const stream = session.open(ECHO, { onMessage: (message) => void back.push(Buffer.from(message)) })
  for (const message of sent) stream.send(message)
  stream.halfClose()
  expect(await stream.ended).toMatchObject({ status: 0, torn: false })
  expect(back.map((message, i) => message.equals(sent[i] as Buffer))).toEqual(sent.map(() => true))
  session.destroy()
})

test('one port takes all: HTTP/1.1 under TLS and not, HTTP/2 under TLS without ALPN, prior knowledge', async () => {
  const status = await new Promise((resolve, reject) =>
    get(`https://${open.listen}/healthz`, { ca: ca.cert, agent: false }, (response) => {
      response.resume()
      resolve(response.statusCode)
    }).on('error', reject),
  )
  expect(status).toBe(200)
  expect(await sayOverTls(open.listen, { ca: ca.cert }, HTTP1)).toMatch(/^HTTP\/1\.1 200 /)
  expect(await sayAndHear(open.listen, HTTP1)).toMatch(/^HTTP\/1\.1 200 /)
  expect(await asks(open.listen)).toBe(0)
  const socket = await shakeHands(open.listen, { ca: ca.cert })
  const settings = new Promise<Buffer>((resolve) => socket.once('data', resolve))
  socket.write(PREFACE)
  expect((await settings)[3], 'SETTINGS').toBe(4)
  socket.destroy()
})

test('what is spoken under TLS is what was agreed', async () => {
  const before = await refused(open, 'unknown-protocol')
  expect(await sayOverTls(open.listen, { ca: ca.cert, ALPNProtocols: ['h2'] }, HTTP1)).toBe('')
  expect(await sayOverTls(open.listen, { ca: ca.cert, ALPNProtocols: ['http/1.1'] }, PREFACE)).toBe('')
  await expect.poll(() => refused(open, 'unknown-protocol'), seconds).toBe(before + 2)
})

test('a handshake that comes byte by byte is one', async () => {
  const slow = await dribble(open.listen, 800)
  expect(await asks(slow.address, { ca: ca.cert })).toBe(0)
  slow.stop()
})

test('a session is resumed by whichever worker gets the next connection', async () => {
  const session = new Promise<Buffer>((resolve) => {
    void shakeHands(open.listen, { ca: ca.cert, ALPNProtocols: ['h2'] }).then((socket: TLSSocket) => {
      socket.on('session', (ticket: Buffer) => {
        resolve(ticket)
        socket.destroy()
      })
      socket.write(PREFACE)
    })
  })
  const ticket = await session
  const held = await Promise.all(
    Array.from({ length: 8 }, () => shakeHands(open.listen, { ca: ca.cert, ALPNProtocols: ['h2'], session: ticket })),
  )
  expect(held.map((socket) => socket.isSessionReused())).toEqual(held.map(() => true))
  for (const socket of held) socket.destroy()
})

test('under mTLS a client with an allowed name is let in, by DNS name or below a SPIFFE path', async () => {
  for (const names of ['DNS:client.example', 'URI:spiffe://mesh/ns/prod/sa/caller', 'DNS:other,URI:spiffe://mesh/ns/prod/x']) {
    const { cert, key } = folder.issue(ca, { names })
    expect(await asks(closed.listen, { ca: ca.cert, cert, key }), names).toBe(0)
  }
})

test.each([
  ['no certificate', 'client-certificate', () => ({}), 'it showed no certificate'],
  ['one of another authority', 'client-certificate', () => folder.issue(strangers, { names: 'DNS:client.example' }), 'not trusted here'],
  ['one that has expired', 'client-certificate', () => folder.issue(ca, { names: 'DNS:client.example', days: -1 }), 'has expired'],
  ['another name', 'client-identity', () => folder.issue(ca, { names: 'DNS:stranger.example' }), 'names stranger.example'],
  ['a SPIFFE id elsewhere', 'client-identity', () => folder.issue(ca, { names: 'URI:spiffe://mesh/ns/test/x' }), 'spiffe://mesh/ns/test/x'],
] as const)('under mTLS a client with %s is refused, counted and told of in the log', async (_, reason, show, words) => {
  const before = await refused(closed, reason)
  const { cert, key } = show() as Partial<Certificate>
  const shown = cert === undefined ? {} : { cert, key }
  for (const version of ['TLSv1.3', 'TLSv1.2'] as const)
    expect(await sayOverTls(closed.listen, { ca: ca.cert, ...shown, minVersion: version, maxVersion: version }, HTTP1)).toBe('')
  await expect.poll(() => refused(closed, reason), seconds).toBe(before + 2)
  await expect.poll(() => closed.part.stderr.join('\n'), seconds).toContain(words)
})

test('under mTLS nothing gets in beside TLS', async () => {
  expect(await sayAndHear(closed.listen, HTTP1)).toBe('')
  expect(await sayAndHear(closed.listen, PREFACE)).toBe('')
  await expect.poll(() => refused(closed, 'clear-text'), seconds).toBe(2)
})

test('a stream lives through a change of the certificate, and new clients see the new one', async () => {
  const [first, second] = [folder.issue(ca), folder.issue(ca)]
  const [certFile, keyFile] = [folder.file('live.crt'), folder.file('live.key')]
  // As a mounted secret: what is named is a link, and a change is a rename of the folder's link.
  const place = (pair: Certificate): void => {
    for (const [name, target] of [
      [certFile, pair.certFile],
      [keyFile, pair.keyFile],
    ] as const) {
      symlinkSync(target, `${name}.new`)
      renameSync(`${name}.new`, name)
    }
  }
  place(first)
  const slow = await startSim('--listen', '127.0.0.1:0', '--http-listen', '127.0.0.1:0', '--token-ms', '40', '--prefill-ms', '1')
  const proxy = await startProxy([{ id: 'a/sim', address: slow.listen }], ...servedBy({ ...first, certFile, keyFile }))
  const shown = async (): Promise<string | undefined> => {
    const socket = await shakeHands(proxy.listen, { ca: ca.cert })
    const name = socket.getPeerX509Certificate()?.subject
    socket.destroy()
    return name
  }
  const [firstName, session] = [await shown(), await connectGrpc(proxy.listen, { ca: ca.cert })]
  let messages = 0
  const stream = session.open(MODEL_STREAM_INFER, { onMessage: () => void messages++ })
  stream.send(tokenRequest({ tokens: 100 }))
  await expect.poll(() => messages, seconds).toBeGreaterThan(2)
  place(second)
  await expect.poll(shown, seconds).not.toBe(firstName)
  const secondName = await shown()
  // A key of another certificate is not taken, and one line says so.
  writeFileSync(`${keyFile}.new`, first.key)
  renameSync(`${keyFile}.new`, keyFile)
  await expect.poll(() => proxy.metric('millrace_tls_reloads_refused_total'), seconds).toBe(1)
  expect(await shown()).toBe(secondName)
  await expect.poll(() => proxy.part.stderr.join('\n'), seconds).toContain('this key does not belong to the certificate')
  expect(proxy.part.stderr.filter((line) => line.includes('tls.refused'))).toHaveLength(1)
  // Neither is one that has expired; then SIGHUP reads the good ones at once.
  place(folder.issue(ca, { days: -1 }))
  await expect.poll(() => proxy.metric('millrace_tls_reloads_refused_total'), seconds).toBe(2)
  expect(await shown()).toBe(secondName)
  place(first)
  process.kill(proxy.part.pid, 'SIGHUP')
  await expect.poll(shown, seconds).toBe(firstName)
  const expires = await proxy.metric('millrace_tls_certificate_expiry_seconds')
  expect(expires - Date.now() / 1_000).toBeGreaterThan(29 * 86_400)
  expect(stream.http.closed, 'the stream was open all the while').toBe(false)
  stream.halfClose()
  expect(await stream.ended).toMatchObject({ status: 0, torn: false })
  expect(messages).toBe(100)
  session.destroy()
  await Promise.all([proxy.stop(), slow.stop()])
})

test('certificates that cannot be used end the start with one line that names the cure', async () => {
  const other = folder.issue(ca)
  const der = folder.file('leaf.der')
  writeFileSync(der, Buffer.of(0x30, 0x82, 1, 2))
  for (const [argv, words] of [
    [['--tls-cert', leaf.certFile, '--tls-key', other.keyFile], /this key does not belong to the certificate/],
    [['--tls-cert', folder.file('nowhere.crt'), '--tls-key', leaf.keyFile], /--tls-cert \S+nowhere\.crt: there is no such file/],
    [['--tls-cert', der, '--tls-key', leaf.keyFile], /wants PEM/],
    [['--tls-cert', leaf.keyFile, '--tls-key', leaf.keyFile], /holds no "-----BEGIN CERTIFICATE-----"/],
    [['--tls-cert', leaf.certFile], /--tls-cert and --tls-key need one another/],
    [['--tls-only'], /need --tls-cert and --tls-key/],
    [[...servedBy(leaf), '--tls-client-identities', 'x'], /needs --tls-client-ca/],
    [[...servedBy(leaf), '--tls-client-ca', ca.certFile, '--tls-client-identities', 'spiffe://*'], /a URI is exact, or ends in/],
  ] as const)
    await expect(startProxy([], ...argv), argv.join(' ')).rejects.toThrow(words)
})

test('behind a balancer, a PROXY header stands in front of the handshake', async () => {
  const proxy = await startProxy([{ id: 'a/sim', address: sim.listen }], ...servedBy(leaf), '--proxy-protocol-from', '127.0.0.0/8')
  const { socket } = await connectPlain(proxy.listen)
  socket.removeAllListeners('data')
  socket.write(Buffer.concat([PROXY_SIGNATURE, Buffer.from('2111000c0c0a0b0c7f00000130391ce8', 'hex')]))
  const secure = connectTls(proxy.listen, { socket, ca: ca.cert, host: '127.0.0.1' })
  const answer = new Promise<string>((resolve) => secure.once('data', (chunk: Buffer) => resolve(chunk.toString())))
  secure.write(HTTP1)
  expect(await answer).toMatch(/^HTTP\/1\.1 200 /)
  secure.destroy()
  await expect(shakeHands(proxy.listen, { ca: ca.cert })).rejects.toThrow()
  await expect.poll(() => refused(proxy, 'proxy-header-missing'), seconds).toBe(1)
  await proxy.stop()
})

test('a flood of handshakes that never end is bounded, calls go on, and the flood is closed in the end', async () => {
  const proxy = await startProxy([{ id: 'a/sim', address: sim.listen }], ...servedBy(leaf))
  const session = await connectGrpc(proxy.listen, { ca: ca.cert })
  const silent = sayOverTls(proxy.listen, { ca: ca.cert }, '')
  await expect.poll(() => proxy.metric('millrace_connections_total', 'protocol="tls"'), seconds).toBe(2)
  const flood = await Promise.all(Array.from({ length: limits.handshakesMax + 100 }, () => connectPlain(proxy.listen)))
  for (const client of flood) client.socket.write(Buffer.of(0x16, 3, 1, 1, 0, 1))
  await expect.poll(() => refused(proxy, 'handshakes-full'), seconds).toBe(100)
  expect(await proxy.metric('millrace_tls_handshakes_open')).toBe(limits.handshakesMax)
  expect(await ask(session, MODEL_INFER, tokenRequest({ tokens: 1 }))).toMatchObject({ status: 0 })
  expect(await asks(proxy.listen)).toBe(0)
  await Promise.all(flood.map((client) => client.answer))
  expect(await silent, 'a client that shakes hands and then says nothing').toBe('')
  await expect.poll(() => refused(proxy, 'silent'), seconds).toBe(1)
  await expect.poll(() => refused(proxy, 'handshake-timeout'), seconds).toBe(limits.handshakesMax)
  expect(await asks(proxy.listen, { ca: ca.cert })).toBe(0)
  session.destroy()
  await proxy.stop()
})
