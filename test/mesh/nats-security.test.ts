/** The bus with keys and TLS: a real nats-server with the configuration that `millrace admin nats-config` writes, and real parts that come in or do not. */
import { readFileSync, writeFileSync } from 'node:fs'
import { ErrorCode, Events, type NatsConnection, type NatsError } from 'nats'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startVerb } from '../../cli/child.ts'
import { commandSubject, controlPlaneInbox, intentBucket, nodeInbox, rollCall, telemetrySubject } from '../../core/subjects.ts'
import { type Certificate, CertificateFolder } from '../tools/certificates.ts'
import { Fleet } from '../tools/fleet.ts'
import { Load } from '../tools/load.ts'
import { startNats, type TestNats } from '../tools/nats.ts'
import { readMetric } from '../tools/proxy.ts'
import { SecureBus } from '../tools/secure-bus.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'

const MESH = 'default'
const soon = { timeout: 20_000, interval: 20 }
const AGENT = ['--metrics-listen', '127.0.0.1:0', '--nvidia-smi', '/nowhere/nvidia-smi']

const certificates = new CertificateFolder()
let authority: Certificate
let proven: Certificate

beforeAll(() => {
  authority = certificates.authority()
  proven = certificates.issue(authority)
})
afterAll(() => certificates.remove())

async function secureBus(...argv: readonly string[]): Promise<SecureBus> {
  const bus = new SecureBus()
  onTestFinished(() => bus.remove())
  await bus.configure('--nodes', 'gpu-a,gpu-b', ...argv)
  return bus
}

async function serve(config: string): Promise<TestNats> {
  const nats = await startNats({ config })
  onTestFinished(() => nats.stop())
  return nats
}

const withTls = ({ certFile, keyFile }: Certificate): readonly string[] => ['--tls-cert', certFile, '--tls-key', keyFile]

/** What an agent that is not let in says before it ends with 64; the line names cause and cure. */
async function refusal(nats: TestNats, ...argv: readonly string[]): Promise<string> {
  const child = await startVerb('agent', 'agent', ['--node', 'gpu-a', '--nats', nats.url, ...AGENT, '--log-level', 'silent', ...argv])
  onTestFinished(() => child.kill())
  expect(await child.exited, child.stderr.join('\n')).toBe(64)
  expect(child.stderr).toHaveLength(1)
  return child.stderr[0] ?? ''
}

async function startAgent(nats: TestNats, ...argv: readonly string[]): Promise<Part> {
  const agent = await spawnPart('agent', ['--node', 'gpu-a', '--nats', nats.url, ...AGENT, ...argv])
  onTestFinished(() => agent.kill())
  return agent
}

describe('a node that was taken over', () => {
  let bus: SecureBus
  let nats: TestNats
  let node: NatsConnection
  let hub: NatsConnection
  const denied: string[] = []

  beforeAll(async () => {
    bus = new SecureBus()
    await bus.configure('--nodes', 'gpu-a,gpu-b')
    nats = await startNats({ config: bus.config })
    node = await bus.connect(nats.url, bus.nodeKey('gpu-a'), nodeInbox(MESH, 'gpu-a'))
    hub = await bus.connect(nats.url, bus.controlPlaneKey, controlPlaneInbox(MESH))
    void (async () => {
      for await (const { type, permissionContext: about } of node.status())
        if (type === Events.Error && about !== undefined) denied.push(`${about.operation} ${about.subject}`)
    })()
  })
  afterAll(async () => {
    await Promise.all([node?.close(), hub?.close()])
    await nats?.stop()
    bus?.remove()
  })

  test('speaks as itself, and as nobody else', async () => {
    const heard: string[] = []
    hub.subscribe(telemetrySubject(MESH, '*'), { callback: (_, { subject }) => void heard.push(subject) })
    await hub.flush()
    const own = telemetrySubject(MESH, 'gpu-a')
    const others = [
      telemetrySubject(MESH, 'gpu-b'),
      rollCall(MESH),
      commandSubject(MESH, 'gpu-b'),
      `${controlPlaneInbox(MESH)}.x`,
      'anything',
    ]
    for (const subject of [...others, own]) node.publish(subject, 'x')
    await node.flush()
    await expect.poll(() => denied, soon).toEqual(expect.arrayContaining(others.map((subject) => `publish ${subject}`)))
    await expect.poll(() => heard, soon).toEqual([own])
  })

  test.each([
    telemetrySubject(MESH, 'gpu-b'),
    telemetrySubject(MESH, '*'),
    commandSubject(MESH, 'gpu-b'),
    `${nodeInbox(MESH, 'gpu-b')}.>`,
    `${controlPlaneInbox(MESH)}.>`,
    '_INBOX.>',
    '$JS.>',
    '>',
  ])('does not hear %s', async (subject) => {
    const error = new Promise<NatsError | null>((resolve) => node.subscribe(subject, { callback: (error) => resolve(error) }))
    expect((await error)?.code).toBe(ErrorCode.PermissionsViolation)
  })

  test('has no part in JetStream', async () => {
    await hub.jetstream().views.kv(intentBucket(MESH), { history: 1 })
    const stream = `KV_${intentBucket(MESH)}`
    for (const subject of [
      '$JS.API.INFO',
      `$JS.API.STREAM.DELETE.${stream}`,
      `$JS.API.STREAM.MSG.GET.${stream}`,
      '$JS.API.STREAM.CREATE.mine',
    ])
      await expect(node.request(subject, '{}', { timeout: soon.timeout }), subject).rejects.toMatchObject({
        code: ErrorCode.PermissionsViolation,
      })
    const key = `$KV.${intentBucket(MESH)}.node.gpu-b`
    await expect(node.request(key, 'drain', { timeout: soon.timeout })).rejects.toMatchObject({ code: ErrorCode.PermissionsViolation })
  })

  test('answers what it is asked, on its own subject only', async () => {
    node.subscribe(commandSubject(MESH, 'gpu-a'), { callback: (_, message) => void message.respond('done') })
    await node.flush()
    expect((await hub.request(commandSubject(MESH, 'gpu-a'), 'x', { timeout: soon.timeout })).string()).toBe('done')
    await expect(hub.request(commandSubject(MESH, 'gpu-b'), 'x', { timeout: soon.timeout })).rejects.toMatchObject({
      code: ErrorCode.NoResponders,
    })
  })

  test('and control planes have their own bucket, and nobody else’s', async () => {
    await expect(hub.request('$JS.API.STREAM.CREATE.KV_millrace-other-intent', '{}', { timeout: soon.timeout })).rejects.toMatchObject({
      code: ErrorCode.PermissionsViolation,
    })
  })
})

test('an agent without a right key ends with one line that says which to take', async () => {
  const bus = await secureBus()
  const nats = await serve(bus.config)
  const junk = `${bus.folder}/junk.nk`
  writeFileSync(junk, 'not a key\n')
  expect(await refusal(nats)).toMatch(/lets nobody in without a key; give one by --nats-creds FILE/)
  expect(await refusal(nats, '--nats-creds', bus.nodeKey('gpu-b'))).toMatch(
    /does not let this part listen on millrace\.default\.\S+gpu-a: \S+gpu-b\.nk may not; take the key .* for this very part/,
  )
  expect(await refusal(nats, '--nats-creds', junk)).toMatch(/junk\.nk holds no key of a NATS user/)
  expect(await refusal(nats, '--nats-creds', `${bus.folder}/none.nk`)).toMatch(/--nats-creds \S+none\.nk cannot be read \(ENOENT\)/)
  const stranger = new SecureBus()
  onTestFinished(() => stranger.remove())
  await stranger.configure('--nodes', 'gpu-a')
  expect(await refusal(nats, '--nats-creds', stranger.nodeKey('gpu-a'))).toMatch(
    /does not take the key in \S+gpu-a\.nk; see that it is the newest/,
  )
})

test('TLS: who cannot prove what it is gets no connection, and the line says what is wrong with it', async () => {
  const bus = await secureBus(...withTls(proven))
  const nats = await serve(bus.config)
  const key = ['--nats-creds', bus.nodeKey('gpu-a')]
  const other = certificates.authority('other')
  expect(await refusal(nats, ...key)).toMatch(/authority that this host does not know .*; name it by --nats-tls-ca FILE/)
  expect(await refusal(nats, ...key, '--nats-tls-ca', other.certFile)).toMatch(/a certificate that no authority in \S+other\.crt signed/)
  const agent = await startAgent(nats, ...key, '--nats-tls-ca', authority.certFile)
  expect(await agent.stop()).toBe(0)

  const clear = await serve((await secureBus()).config)
  expect(await refusal(clear, ...key, '--nats-tls-ca', authority.certFile)).toMatch(/speaks no TLS; give nats-server a tls block/)
  const expired = await serve((await secureBus(...withTls(certificates.issue(authority, { days: -1 })))).config)
  expect(await refusal(expired, ...key, '--nats-tls-ca', authority.certFile)).toMatch(/has a certificate that has expired; renew it/)
  const elsewhere = await serve(
    (await secureBus(...withTls(certificates.issue(authority, { names: 'DNS:localhost,DNS:nats.example' })))).config,
  )
  expect(await refusal(elsewhere, ...key, '--nats-tls-ca', authority.certFile)).toMatch(/has a certificate for other names/)
})

test('mTLS: a part without a certificate, or with one of strangers, is turned away and says so', async () => {
  const bus = await secureBus(...withTls(proven), '--tls-ca', authority.certFile)
  const nats = await serve(bus.config)
  const known = ['--nats-creds', bus.nodeKey('gpu-a'), '--nats-tls-ca', authority.certFile]
  const own = (pair: Certificate): readonly string[] => ['--nats-tls-cert', pair.certFile, '--nats-tls-key', pair.keyFile]
  expect(await refusal(nats, ...known)).toMatch(/it may want a certificate of ours; give one by --nats-tls-cert/)
  const strangers = certificates.issue(certificates.authority('strangers'))
  expect(await refusal(nats, ...known, ...own(strangers))).toMatch(/see that \S+ is valid, fits its key, and is signed by an authority/)
  const agent = await startAgent(nats, ...known, ...own(certificates.issue(authority)))
  expect(await agent.stop()).toBe(0)
})

test('the whole mesh works under keys and TLS, drains are stored, and no secret shows anywhere', async () => {
  const bus = new SecureBus()
  onTestFinished(() => bus.remove())
  const printed = await bus.configure('--nodes', 'sim-1,sim-2', ...withTls(proven))
  const tls = ['--nats-tls-ca', authority.certFile]
  const fleet = await Fleet.start({
    nodes: 2,
    bus: {
      config: bus.config,
      controlPlane: ['--nats-creds', bus.controlPlaneKey, ...tls],
      agent: (node) => ['--nats-creds', bus.nodeKey(node), ...tls],
    },
  })
  onTestFinished(() => fleet.stop())
  const load = new Load({ to: fleet.proxy.listen, perSecond: 100, connections: 2 })
  onTestFinished(() => load.stop())
  await expect.poll(() => load.served().size, soon).toBe(2)
  expect(await fleet.admin('report', 'sim-2')).toContain('a full report is on its way')
  expect(await fleet.admin('drain', 'sim-1', '--reason', 'fans')).toContain('sim-1 drains')
  await expect.poll(() => fleet.admin('nodes'), soon).toMatch(/sim-1.*DRAINING/)
  const drainedAt = performance.now()
  await expect.poll(() => load.ended(drainedAt).length, soon).toBeGreaterThan(50)
  await fleet.admin('undrain', 'sim-1')
  const undrainedAt = performance.now()
  await expect.poll(() => load.served(undrainedAt).has('sim-1/sim'), soon).toBe(true)
  expect(load.failed()).toEqual([])

  const parts = [fleet.controlPlane, ...fleet.nodes.map(({ agent }) => agent)].filter((part) => part !== undefined)
  const shown = parts.flatMap((part) => [readFileSync(`/proc/${part.pid}/cmdline`, 'utf8'), ...part.stdout, ...part.stderr]).join('\n')
  const pages = await Promise.all(parts.map(async ({ fields }) => (await fetch(`http://${fields.metrics}/metrics`)).text()))
  for (const path of [bus.controlPlaneKey, bus.nodeKey('sim-1'), bus.nodeKey('sim-2')]) {
    expect([printed, shown, readFileSync(`${bus.folder}/users.conf`, 'utf8'), ...pages].join('\n')).not.toContain(bus.secretOf(path))
  }
})

test('a node that is revoked is cut off, waits and says so, and comes back with a new key', async () => {
  const bus = await secureBus()
  const nats = await serve(bus.config)
  const agent = await startAgent(nats, '--nats-creds', bus.nodeKey('gpu-a'))
  const published = (): Promise<number> => readMetric(`http://${agent.fields.metrics}/metrics`, 'millrace_agent_reports_total')
  await expect.poll(published, soon).toBeGreaterThan(2)
  const ready = async (): Promise<number> => (await fetch(`http://${agent.fields.metrics}/readyz`)).status

  const secret = bus.secretOf(bus.nodeKey('gpu-a'))
  await bus.configure('--revoke', 'gpu-a', '--nodes', 'gpu-a')
  expect(bus.secretOf(bus.nodeKey('gpu-a'))).not.toBe(secret)
  const renewed = readFileSync(bus.nodeKey('gpu-a'))
  writeFileSync(bus.nodeKey('gpu-a'), `${secret}\n`)
  nats.reload()
  await expect.poll(ready, soon).toBe(503)
  expect(await agent.waitForLine(/nats\.refused/, soon.timeout)).toMatch(/does not take the key in \S+gpu-a\.nk/)

  writeFileSync(bus.nodeKey('gpu-a'), renewed)
  await expect.poll(ready, soon).toBe(200)
  expect(agent.hasExited()).toBe(false)
})
