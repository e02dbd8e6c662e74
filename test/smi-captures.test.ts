/**
 * What the agent reads out of real outputs of nvidia-smi: drivers 384 to 610, Linux and Windows, one GPU and eight, MIG on and off. `captures/expected.json`
 * was written once by these readers, then held against each capture by eye, field by field, and by a second reader (a few lines of another language that
 * only looked cells up by title); a field that is not there is one that the capture has no value for.
 */
import { expect, test } from 'vitest'
import { parseComputeApps } from '../agents/gpu/parse-compute-apps.ts'
import { parseSmiLine } from '../agents/gpu/parse-line.ts'
import { parseList } from '../agents/gpu/parse-list.ts'
import { FULL_QUERY } from '../agents/gpu/query.ts'
import { readDetails } from '../agents/gpu/read-details.ts'
import { parseLog } from '../agents/wire/parse-xml.ts'
import expected from './captures/expected.json' with { type: 'json' }
import { appCaptures, listCaptures, readable, rowCaptures, xmlCaptures } from './captures/read-captures.ts'

const cases = (captures: readonly (readonly [string, unknown])[], told: object): void =>
  expect(Object.keys(told)).toEqual(captures.map(([name]) => name))

const row = (line: string) => {
  const parsed = parseSmiLine(line, FULL_QUERY)
  return parsed.kind === 'gpu' ? readable(parsed.gpu) : parsed
}
const details = (text: string) => {
  const log = parseLog(text)
  return log === undefined ? 'no whole log' : Object.fromEntries([...readDetails(log)].map(([uuid, gpu]) => [uuid, readable(gpu)]))
}
const apps = (text: string) => parseComputeApps(text)?.map(readable)
const migs = (text: string) => parseList(text).map(({ index, uuid }) => `${index} ${uuid}`)

test('every capture has its expectation', () => {
  cases(rowCaptures(), expected.rows)
  cases(xmlCaptures(), expected.xml)
  cases(appCaptures(), expected.apps)
  cases(listCaptures(), expected.lists)
})

test.each(rowCaptures())('rows of %s', (name, lines) => {
  expect(lines.map(row)).toEqual(expected.rows[name as keyof typeof expected.rows])
})

test.each(xmlCaptures())('XML of %s', (name, text) => {
  expect(details(text)).toEqual(expected.xml[name as keyof typeof expected.xml])
})

test.each(appCaptures())('processes of %s', (name, text) => {
  expect(apps(text)).toEqual(expected.apps[name as keyof typeof expected.apps])
})

test.each(listCaptures())('MIG instances of %s', (name, text) => {
  expect(migs(text)).toEqual(expected.lists[name as keyof typeof expected.lists])
})
