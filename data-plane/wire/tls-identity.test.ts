import { expect, test } from 'vitest'
import { allowedName, describeNames, identityProblem, namesOf } from './tls-identity.ts'

const names = (text: string) => namesOf(text)

test('names are read from the text of the extension, and other kinds are left out', () => {
  expect(names('DNS:A.example, DNS:b, IP Address:127.0.0.1, URI:spiffe://mesh/x, email:x@y')).toEqual({
    dns: ['a.example', 'b'],
    uris: ['spiffe://mesh/x'],
  })
  expect(names('')).toEqual({ dns: [], uris: [] })
  expect(namesOf(undefined)).toEqual({ dns: [], uris: [] })
})

test('a value that imitates another name is one value', () => {
  expect(names('DNS:"evil.example, DNS:good.example"')).toEqual({ dns: ['evil.example, dns:good.example'], uris: [] })
  expect(names('URI:"spiffe://a/\\", URI:spiffe://b/c", DNS:x')).toEqual({ dns: ['x'], uris: ['spiffe://a/", URI:spiffe://b/c'] })
})

test.each([
  ['DNS:client.example', 'client.example', true],
  ['DNS:client.example', 'CLIENT.example', true],
  ['DNS:a.example', '*.example', true],
  ['DNS:a.b.example', '*.example', false],
  ['DNS:example', '*.example', false],
  ['DNS:*.example', '*.example', false],
  ['URI:spiffe://mesh/ns/prod/x', 'spiffe://mesh/ns/prod/x', true],
  ['URI:spiffe://mesh/ns/prod/x', 'spiffe://mesh/ns/prod/*', true],
  ['URI:spiffe://mesh/ns/prod/x/y', 'spiffe://mesh/ns/prod/*', true],
  ['URI:spiffe://mesh/ns/prod/', 'spiffe://mesh/ns/prod/*', false],
  ['URI:spiffe://mesh/ns/production', 'spiffe://mesh/ns/prod/*', false],
  ['URI:spiffe://mesh/ns/prod/../test/x', 'spiffe://mesh/ns/prod/*', false],
  ['URI:spiffe://mesh/ns/prod/x', 'client.example', false],
  ['DNS:spiffe', 'spiffe://spiffe', false],
])('%s against %s: %s', (certificate, allowed, fits) => {
  expect(allowedName(names(certificate), [allowed]) !== undefined).toBe(fits)
})

test('one allowed name of several is enough, and none allows nobody', () => {
  expect(allowedName(names('DNS:b'), ['a', 'b'])).toBe('b')
  expect(allowedName(names('DNS:b'), [])).toBeUndefined()
})

test.each(['client.example', '*.example', 'spiffe://mesh/x', 'spiffe://mesh/*', 'localhost'])('%s may be configured', (text) => {
  expect(identityProblem(text)).toBeUndefined()
})

test.each(['*', 'a.*', '*.*.b', 'spiffe://*', 'spiffe://mesh/*/x', 'spiffe://mesh/x*', 'a b', ''])('%j may not', (text) => {
  expect(identityProblem(text)).toBeDefined()
})

test('a certificate without names says so in messages', () => {
  expect(describeNames(names('DNS:a, URI:b://c'))).toBe('b://c, a')
  expect(describeNames(names(''))).toBe('no DNS name and no URI')
})
