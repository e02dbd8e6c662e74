import { expect, test } from 'vitest'
import { nameOfBytes, nameOfText } from './header-name.ts'

const named = (text: string) => nameOfBytes(Buffer.from(text, 'latin1'), 0, text.length)

test.each(['te', 'grpc-timeout', ':path', 'x-request-id', 'x'.repeat(64)])('%s is one object, from text and from bytes', (text) => {
  expect(named(text)).toBe(nameOfText(text))
  expect(nameOfBytes(Buffer.from(`__${text}__`), 2, 2 + text.length)).toBe(nameOfText(text))
})

test('any number of names is told apart, though few are kept', () => {
  for (let i = 0; i < 20_000; i++) expect(named(`x-${i * 7919}`).text).toBe(`x-${i * 7919}`)
})

test('a name too long to be kept is still itself', () => {
  const text = 'n'.repeat(65)
  expect(named(text)).toEqual(named(text))
  expect(named(text)).not.toBe(named(text))
})

test.each([
  ['te', true],
  [':path', true],
  ["!#$%&'*+-.^_`|~09az", true],
  ['', false],
  [':', false],
  ['a:b', false],
  ['::path', false],
  ['Te', false],
  ['x y', false],
  ['x\ty', false],
  ['x\ny', false],
  ['te\n', false],
  ['x\0', false],
  ['x(y)', false],
  ['caf\xe9', false],
  ['x\x7f', false],
])('whether %j may be the name of a field: %s', (text, legal) => {
  expect(named(text).legal).toBe(legal)
})
