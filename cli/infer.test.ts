import { afterEach, beforeEach, expect, test } from 'vitest'
import { systemClock } from '../core/edge/system-clock.ts'
import { millis } from '../core/units.ts'
import { Engine } from '../sim/model-server/engine.ts'
import { type GrpcServer, serveGrpc } from '../sim/model-server/grpc-http2.ts'
import { modelInfer, modelStreamInfer } from '../sim/model-server/inference.ts'
import { seededDraw } from '../sim/model-server/queue.ts'
import { textOf } from '../sim/model-server/story.ts'
import { type Child, startVerb } from './child.ts'

/** The simulated model behind the paths that a proxy has. */
let server: GrpcServer
let engine: Engine
beforeEach(async () => {
  const rules = { slots: 2, queueMax: 10, prefill: millis(1), token: millis(1), jitter: 0, factor: 1 }
  engine = new Engine(['sim_llm'], rules, { mode: 'normal', afterTokens: 0, factor: 1 }, systemClock, seededDraw(1))
  const service = '/millrace.inference.v1.InferenceService/'
  const methods = new Map([
    [`${service}Infer`, modelInfer(engine)],
    [`${service}StreamInfer`, modelStreamInfer(engine)],
  ])
  server = await serveGrpc('127.0.0.1:0', methods, () => false)
})
afterEach(async () => {
  engine.close()
  await server.close()
})

async function infer(...argv: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child: Child = await startVerb('infer', 'infer', ['--to', server.address, ...argv])
  const code = await child.exited
  return { code, out: child.stdout.join('\n'), err: child.stderr.join('\n') }
}

test('a prompt is answered with its text, and stderr says how it went', async () => {
  const { code, out, err } = await infer('--model', 'sim_llm', '--prompt', 'hello', '--max-tokens', '5')
  expect([code, out]).toEqual([0, textOf(5)])
  expect(err).toMatch(/^endpoint not named · \d.* ms in all$/)
})

test('a stream prints the same text token by token', async () => {
  const { code, out, err } = await infer('--model', 'sim_llm', '--prompt', 'hello', '--max-tokens', '7', '--stream')
  expect([code, out]).toEqual([0, textOf(7)])
  expect(err).toMatch(/^endpoint not named · 7 tokens · first after [\d.]+ ms · [\d.]+ ms in all$/)
})

test('a token is printed when it comes, not when the stream ends', async () => {
  engine.behave({ mode: 'stall', afterTokens: 3, factor: 1 })
  const child = await startVerb('infer', 'infer', ['--to', server.address, '--json', JSON.stringify(request()), '--stream'])
  await child.waitForLine(/triton_final_response/, 20_000)
  await expect.poll(() => child.stdout.length).toBe(3)
  expect(child.hasExited()).toBe(false)
  child.kill()
  await child.exited
})

const request = () => ({
  model_name: 'sim_llm',
  id: 'j1',
  inputs: [{ name: 'text_input', datatype: 'BYTES', shape: [1], contents: { bytes_contents: [Buffer.from('hi').toString('base64')] } }],
})

test('JSON in, JSON out, bytes in base64', async () => {
  const { code, out } = await infer('--json', JSON.stringify(request()))
  const response = JSON.parse(out)
  expect([code, response.id, response.model_name]).toEqual([0, 'j1', 'sim_llm'])
  expect(Buffer.from(response.raw_output_contents[0], 'base64').toString()).toContain('simulated answer')
})

test.each([
  ['an unknown model', ['--model', 'nobody', '--prompt', 'x'], 1, /^millrace infer: NOT_FOUND: .*'nobody' is not found$/],
  ['an unknown model in a stream', ['--model', 'nobody', '--prompt', 'x', '--stream'], 1, /the model server answered: .*'nobody'/],
  ['no prompt', ['--model', 'sim_llm'], 64, /wants either --prompt TEXT or --json REQUEST/],
  ['no model', ['--prompt', 'x'], 64, /wants --model NAME/],
  ['JSON that is none', ['--json', '{'], 64, /--json: /],
  ['a field that there is not', ['--json', '{"modelName":"x"}'], 64, /no field "modelName"; there are model_name/],
  [
    'nobody at the address',
    ['--to', '127.0.0.1:1', '--model', 'm', '--prompt', 'x'],
    1,
    /nothing answers at 127.0.0.1:1; start a proxy there/,
  ],
])('%s is one line and its exit code', async (_what, argv, exitCode, line) => {
  const { code, err } = await infer(...argv)
  expect(code).toBe(exitCode)
  expect(err).toMatch(line)
  expect(err.split('\n')).toHaveLength(1)
})

test('a deadline that passes is said, and frees the server', async () => {
  engine.behave({ mode: 'stall', afterTokens: 0, factor: 1 })
  const { code, err } = await infer('--model', 'sim_llm', '--prompt', 'x', '--deadline', '2')
  expect([code, err]).toEqual([1, expect.stringContaining('DEADLINE_EXCEEDED')])
  await expect.poll(() => engine.counts()).toMatchObject({ running: 0, cancelled: 1 })
})
