import { expect, test } from 'vitest'
import type { HashOn } from '../../core/mesh-snapshot.ts'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { type RequestHead, readRequestHead } from '../grpc/request-head.ts'
import { RequestScanner } from '../grpc/request-scanner.ts'
import { wishesOf } from '../grpc/scan-wishes.ts'
import { headerField } from '../http2/header-field.ts'
import { head, INFER } from '../testing/stage.ts'
import { openInflater } from '../wire/inflate.ts'
import { keyOf } from './request-key.ts'

const headWith = (name: string, value: string): RequestHead => readRequestHead(head(INFER, headerField(name, value))) as RequestHead

test.each<[string, HashOn | undefined, string, string, boolean]>([
  ['the session of any model', undefined, 'x-millrace-session', 'alice', true],
  ['the session, said by the row', { header: 'x-millrace-session' }, 'x-millrace-session', 'alice', true],
  ['a field of the application', { header: 'x-user' }, 'x-user', 'alice', true],
  ['an empty field', { header: 'x-user' }, 'x-user', '', false],
  ['another field', { header: 'x-user' }, 'x-other', 'alice', false],
  ['the session where the row asks for another field', { header: 'x-user' }, 'x-millrace-session', 'alice', false],
])('%s', (_, on, name, value, found) => {
  const key = keyOf({ head: headWith(name, value), scanner: undefined }, on)
  expect(key !== undefined).toBe(found)
  if (!found) return
  expect(keyOf({ head: headWith(name, value), scanner: undefined }, on)).toBe(key)
  expect(keyOf({ head: headWith(name, 'bob'), scanner: undefined }, on)).not.toBe(key)
})

test('a session is a hint to this proxy: it is read, and goes no further', () => {
  expect(headWith('x-millrace-session', 'alice').forward.map(({ name }) => name)).not.toContain('x-millrace-session')
  expect(headWith('x-user', 'alice').forward.map(({ name }) => name)).toContain('x-user')
})

const on: HashOn = { parameter: 'user' }
const wishes = wishesOf([{ name: 'm', policy: 'RING_HASH', hashOn: on }])
type Value = { $case: 'stringParam'; value: string } | { $case: 'int64Param'; value: bigint } | { $case: 'boolParam'; value: boolean }
const keyOfParameters = (parameters: Record<string, Value>, step: number): number | undefined => {
  const wrapped = Object.fromEntries(Object.entries(parameters).map(([name, parameterChoice]) => [name, { parameterChoice }]))
  const body = ModelInferRequest.encode(ModelInferRequest.create({ modelName: 'm', parameters: wrapped })).finish()
  const bytes = Buffer.alloc(5 + body.length)
  bytes.writeUInt32BE(body.length, 1)
  bytes.set(body, 5)
  const scanner = new RequestScanner('identity', openInflater, true, wishes)
  for (let at = 0; at < bytes.length; at += step) scanner.feed(bytes, at, Math.min(at + step, bytes.length))
  expect(scanner.refusal).toBeUndefined()
  return keyOf({ head: headWith('x-user', 'alice'), scanner }, on)
}

test('a request parameter is a key, of whatever type and wherever the bytes are cut; what is not there is none', () => {
  const text = (value: string): Value => ({ $case: 'stringParam', value })
  const other = { sequence_id: text('s'), zzz: text('y'), use: text('alice'), user2: text('bob') }
  const alice = keyOfParameters({ ...other, user: text('alice') }, 1_000)
  expect(alice).toBeDefined()
  for (const step of [1, 2, 3, 7]) expect(keyOfParameters({ user: text('alice'), ...other }, step)).toBe(alice)
  expect(keyOfParameters({ user: text('bob') }, 9)).not.toBe(alice)
  const number = keyOfParameters({ user: { $case: 'int64Param', value: 42n } }, 9)
  expect(number).toBe(keyOfParameters({ user: text('42') }, 9))
  expect(keyOfParameters({ user: { $case: 'boolParam', value: true } }, 9)).toBeDefined()
  expect(keyOfParameters(other, 9)).toBeUndefined()
  expect(keyOfParameters({ user: text('') }, 9)).toBeUndefined()
})
