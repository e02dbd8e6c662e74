import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startVerb } from './child.ts'
import { serverConf, usersConf } from './nats-conf-text.ts'
import { changeUsers, controlPlaneCreds, nodeCreds } from './nats-users.ts'

function newFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'millrace-users-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const secret = (path: string): string => readFileSync(path, 'utf8')
const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

test('each node and the control planes get a secret that only its owner reads', () => {
  const folder = newFolder()
  const { meshes, added } = changeUsers(folder, 'm', ['b', 'a', 'b', 'constructor'], [])
  expect(added).toEqual(['b', 'a', 'constructor'])
  expect(Object.keys(meshes.m?.nodes ?? {})).toEqual(['a', 'b', 'constructor'])
  for (const path of [controlPlaneCreds(folder, 'm'), nodeCreds(folder, 'm', 'a')]) {
    expect(modeOf(path)).toBe('600')
    expect(secret(path)).toMatch(/^SU[A-Z2-7]{56}\n$/)
  }
  expect(secret(join(folder, 'users.json'))).not.toMatch(/SU[A-Z2-7]{56}/)
})

test('a second run adds nodes and meshes and keeps every key, also of a secret that was moved away', () => {
  const folder = newFolder()
  const first = changeUsers(folder, 'm', ['a'], [])
  rmSync(nodeCreds(folder, 'm', 'a'))
  changeUsers(folder, 'other', ['a'], [])
  const { meshes, added } = changeUsers(folder, 'm', ['a', 'b'], [])
  expect(added).toEqual(['b'])
  expect(meshes.m).toMatchObject({ controlPlane: first.meshes.m?.controlPlane, nodes: { a: first.meshes.m?.nodes.a } })
  expect(meshes.other?.nodes.a).not.toBe(meshes.m?.nodes.a)
})

test('a revoked node loses its key; named anew it gets another', () => {
  const folder = newFolder()
  const first = changeUsers(folder, 'm', ['a', 'b'], [])
  expect(changeUsers(folder, 'm', [], ['b']).meshes.m?.nodes).toEqual({ a: first.meshes.m?.nodes.a })
  expect(() => secret(nodeCreds(folder, 'm', 'b'))).toThrow('ENOENT')
  expect(changeUsers(folder, 'm', ['a'], ['a']).meshes.m?.nodes.a).not.toBe(first.meshes.m?.nodes.a)
  expect(() => changeUsers(folder, 'm', [], ['x'])).toThrow('--revoke x: mesh m has no such node; there are a')
})

test('a users.json that is damaged is named and left as it is', () => {
  const folder = newFolder()
  writeFileSync(join(folder, 'users.json'), '{"meshes":{"m":{"controlPlane":"SUABC","nodes":{}}}}')
  expect(() => changeUsers(folder, 'm', ['a'], [])).toThrow(/users\.json: meshes\.m\.controlPlane: wants the public key/)
})

test('the configuration lets a node publish one subject, and asks parts for certificates when told so', () => {
  const text = usersConf({ m: { controlPlane: 'UCP', nodes: { a: 'UA' } } })
  expect(text).toContain('nkey: UA, permissions: {\n        publish: { allow: ["millrace.m.telemetry.a"] }')
  expect(text.match(/\$JS/g)).not.toBeNull()
  expect(text.slice(text.indexOf('nkey: UA,'))).not.toContain('$')
  const server = { listen: 'h:1', storeDir: '/s', tls: { cert: '/c', key: '/k', clientCa: '/ca' } }
  expect(serverConf(server, 'users.conf')).toMatch(/cert_file: "\/c"[\s\S]*ca_file: "\/ca"\n {2}verify: true[\s\S]*include "users.conf"/)
})

test.each([
  ['no folder', [], 'wants --out FOLDER'],
  ['a name that is none', ['--out', '/tmp/x', '--nodes', 'a.b'], 'wants names of nodes'],
  ['a certificate alone', ['--out', '/tmp/x', '--tls-cert', 'c'], '--tls-cert and --tls-key go together'],
])('%s is one line that names the cause', async (_, argv, words) => {
  const child = await startVerb('nats-config', 'admin', ['nats-config', ...argv])
  expect(await child.exited).toBe(64)
  expect(child.stderr).toHaveLength(1)
  expect(child.stderr[0]).toContain(words)
})
