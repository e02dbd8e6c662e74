/** What belongs together, through the whole story in memory: the bytes of a request decide where it goes, and reach the server as they came. */
import { expect, test } from 'vitest'
import type { Model } from '../core/mesh-snapshot.ts'
import { headerField } from './http2/header-field.ts'
import { ERROR } from './http2/protocol.ts'
import type { Stream } from './http2/stream.ts'
import { answer, INFER, message, STREAM, stage } from './testing/stage.ts'

const ENDPOINTS = ['a', 'b', 'c', 'd', 'e', 'f']
const prompt = (model: string, text: string): Uint8Array =>
  message(model, 0, {
    inputs: [{ name: 'text_input', datatype: 'BYTES', shape: [1n], parameters: {}, contents: undefined }],
    rawInputContents: [Buffer.concat([Buffer.from([text.length & 0xff, text.length >> 8, 0, 0]), Buffer.from(text)])],
  })
const play = (row: Omit<Model, 'name'>, models: readonly string[] = ['llm']) =>
  stage(ENDPOINTS, {
    nameEndpoints: true,
    rows: [{ name: 'llm', ...row }],
    models: Object.fromEntries(ENDPOINTS.map((id) => [id, models])),
  })

/** Asks, has it answered, and tells where that was. */
function serverOf(on: ReturnType<typeof play>, body: Uint8Array, ...fields: ReturnType<typeof headerField>[]): string {
  const before = on.served()
  on.send(INFER, body, true, ...fields)
  const after = on.served()
  const found = ENDPOINTS.find((id) => after.filter((one) => one === id).length > before.filter((one) => one === id).length)
  if (found === undefined) throw new Error(`nobody was asked: ${on.client.heard.at(-1)}`)
  const asked = on.asked(found)
  expect(on.far(found).bytes.get(asked)).toEqual(Uint8Array.from(body))
  answer(asked, message('out'))
  on.move()
  return found
}

test('requests of one session go to one endpoint, which never hears of the session', () => {
  const mesh = play({ policy: 'RING_HASH' })
  const session = (name: string): string => serverOf(mesh, message('llm'), headerField('x-millrace-session', name))
  const homes = Array.from({ length: 30 }, (_, at) => session(`s${at}`))
  expect(new Set(homes).size).toBeGreaterThan(3)
  for (const [at, home] of homes.entries()) expect(session(`s${at}`)).toBe(home)
  for (const id of ENDPOINTS) expect(mesh.far(id).heard.join(' ')).not.toContain('session')
  mesh.expectClean()
})

test.each<[string, (stream: Stream) => void]>([
  ['resets', (stream) => stream.reset(ERROR.INTERNAL_ERROR)],
  ['is full', (stream) => stream.sendHead([headerField(':status', '200'), headerField('grpc-status', '14')], true)],
])('a pinned request whose live owner %s is told that it was the owner, and is sent to nobody else', (_what, fail) => {
  const mesh = play({ policy: 'LEAST_WAIT', pin: true })
  const session = headerField('x-millrace-session', 's')
  const home = serverOf(mesh, message('llm'), session)
  const asked = mesh.served().length
  mesh.send(INFER, message('llm'), true, session)
  fail(mesh.asked(home))
  mesh.move()
  expect(mesh.served().length).toBe(asked + 1)
  expect(mesh.tally.refusals).toEqual({ 'owner-unavailable': 1 })
  const said = decodeURIComponent(mesh.client.heard.at(-1) ?? '')
  expect(said).toContain('14,model "llm": the endpoint that its session is pinned to did not take it, and no other may; try again in')
  mesh.expectClean()
})

test('a prompt goes where its beginning went, however far its tensor lies behind the name', () => {
  const mesh = play({ policy: 'PREFIX', prompt: { input: 'text_input' } })
  const system = 'You are a miller. '.repeat(60)
  const first = serverOf(mesh, prompt('llm', system))
  for (let at = 0; at < 5; at++)
    expect(serverOf(mesh, prompt('llm', `${system}And now number ${at}: ${'go on. '.repeat(at * 40)}`))).toBe(first)
  mesh.expectClean()
})

test('each request of a stream goes by its own prompt', () => {
  const mesh = play({ policy: 'PREFIX' })
  const texts = ['mill '.repeat(300), 'race '.repeat(300)]
  const homes = texts.map((text) => serverOf(mesh, prompt('llm', text)))
  const before = mesh.served().length
  mesh.send(STREAM, Buffer.concat([...texts, ...texts].map((text) => prompt('llm', text))), false)
  const counts = mesh.served().length - before
  expect(counts).toBe(4)
  for (const home of homes) expect(mesh.served().filter((id) => id === home).length).toBeGreaterThan(2)
})

test('an adapter goes to one endpoint of the model below, under its own name', () => {
  const mesh = stage(ENDPOINTS, { rows: [{ name: 'lora', policy: 'LEAST_WAIT', adapterOf: 'llm' }] })
  const home = serverOf(mesh, message('lora'))
  for (let at = 0; at < 5; at++) expect(serverOf(mesh, message('lora'))).toBe(home)
  mesh.expectClean()
})
