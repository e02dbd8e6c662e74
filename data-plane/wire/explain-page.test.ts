/** What the page of a proxy answers to whoever asks why. */
import { expect, test } from 'vitest'
import { ExplainQuery, ExplainReply } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { explainPage } from './explain-page.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const HERE = '127.0.0.1'

async function ask(query: string, caller: string | undefined = HERE, busy = false) {
  const heard: ExplainQuery[] = []
  const page = await explainPage(new URLSearchParams(query), caller, async (one) => {
    heard.push(one)
    return busy ? undefined : ExplainReply.create({})
  })
  return { ...page, heard }
}

test.each([
  ['model=llm', { model: 'llm' }],
  [`trace=${TRACE}&decisions=7`, { traceId: TRACE, decisionsMax: 7 }],
])('%s is asked of all workers', async (query, wanted) => {
  const { code, contentType, heard } = await ask(query)
  expect([code, contentType]).toEqual([200, 'application/json'])
  expect(heard).toEqual([ExplainQuery.create(wanted)])
})

test.each([
  ['', 'wants ?model=NAME, ?trace=ID, or both'],
  ['trace=FF', 'trace: wants 32 hexadecimal digits'],
  ['model=llm&decisions=0', 'decisions: '],
  ['model=llm&mode=x', 'Unrecognized key: "mode"'],
])('a question like "%s" is refused by name', async (query, words) => {
  const { code, text, heard } = await ask(query)
  expect([code, heard]).toEqual([400, []])
  expect(text).toContain(words)
})

test.each([
  ['127.0.0.1', 200],
  ['::1', 200],
  ['::ffff:127.0.0.1', 200],
  ['10.0.0.7', 403],
  ['::ffff:10.0.0.7', 403],
  ['127.evil.example', 403],
])('a caller at %s is answered with %i', async (caller, wanted) => {
  expect((await ask('model=llm', caller)).code).toBe(wanted)
})

test('more questions than may wait are sent away', async () => {
  expect((await ask('model=llm', HERE, true)).code).toBe(503)
})
