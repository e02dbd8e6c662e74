import { afterAll, beforeAll, expect, test } from 'vitest'
import { startVerb } from '../../cli/child.ts'
import { type GatheringGateway, startGatheringGateway } from '../tools/gathering-gateway.ts'
import { startProxy, type TestProxy } from '../tools/proxy.ts'
import { startSim, type TestSim } from '../tools/sim-server.ts'

/** Slow enough that a stall of the machine which makes a gap small is a long one. */
const TOKEN_MS = 30
const PREFILL_MS = 20

let sim: TestSim
let proxy: TestProxy
let gathering: GatheringGateway
beforeAll(async () => {
  sim = await startSim('--slots', '16', '--prefill-ms', String(PREFILL_MS), '--token-ms', String(TOKEN_MS), '--jitter', '0.02')
  proxy = await startProxy([{ id: 'a/sim', address: sim.listen }])
  gathering = await startGatheringGateway(sim.listen, 2 * TOKEN_MS)
})
afterAll(async () => {
  gathering?.stop()
  await proxy?.stop()
  await sim?.stop()
})

const SMALL = ['--streams', '4', '--rounds', '2', '--max-tokens', '40']

async function bench(...argv: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const child = await startVerb('bench', 'bench', ['--tokens', ...argv])
  const code = await child.exited
  return { code, out: child.stdout.join('\n'), err: child.stderr.join('\n') }
}

const against = (address: string, ...more: string[]) => bench('--direct', sim.listen, '--against', address, '--model', 'sim_llm', ...more)

test('our proxy hands on each token when it comes', async () => {
  const { code, out, err } = await against(proxy.listen, ...SMALL, '--json')
  expect(err).toBe('')
  const found = JSON.parse(out)
  expect(found).toMatchObject({
    against: `http://${proxy.listen}`,
    streams: { direct: 8, through: 8 },
    tokens: { direct: 320, through: 320 },
    verdict: { seen: 'no-buffering' },
  })
  expect(code).toBe(0)
  console.log(`first token +${found.ttftAdded.p50Ms.toFixed(2)} ms (± ${found.ttftAdded.p50ErrorMs.toFixed(2)})`)
})

test('a gateway that gathers tokens is found out, in words and by the exit code', async () => {
  const { code, out, err } = await against(gathering.listen, ...SMALL)
  expect(err).toMatch(/^millrace bench: buffers: [\d.]+ % of its gaps are below [\d.]+ ms, [\d.]+ % of the direct ones/)
  expect(out).toContain(`through  http://${gathering.listen}: 8 streams, 320 tokens`)
  expect(code).toBe(1)
})

test('a limit on what the first token may be late is kept', async () => {
  const { code, err } = await against(gathering.listen, ...SMALL, '--max-added-ttft', '0.001', '--rounds', '1')
  expect(code).toBe(1)
  expect(err).toMatch(/^millrace bench: (buffers: |the first token comes )/)
})

test('metadata and a whole request of one’s own reach the server', async () => {
  const input = { shape: [1], datatype: 'BYTES', name: 'text_input', contents: { bytes_contents: [Buffer.from('hi').toString('base64')] } }
  const limit = { shape: [1], datatype: 'INT32', name: 'max_tokens', contents: { int_contents: [3] } }
  const request = JSON.stringify({ model_name: 'sim_llm', inputs: [input, limit] })
  const { code, out, err } = await bench(
    ...['--direct', sim.listen, '--against', proxy.listen, '--request', request],
    ...['--metadata', 'authorization=Bearer x', '--streams', '1', '--rounds', '2'],
  )
  expect(out).toContain('2 streams, 6 tokens')
  expect([code, err]).toEqual([1, expect.stringContaining('cannot tell: only 4 gaps were seen')])
})

test.each([
  ['nobody there', ['--against', '127.0.0.1:1', '--model', 'm'], 1, /through the gateway, http:\/\/127.0.0.1:1: nothing answers there/],
  ['an unknown model', ['--model', 'nobody'], 1, /direct, .*: the model server answered: .*'nobody'/],
  ['no model', [], 64, /wants --model NAME/],
  ['TLS where there is none', ['--direct', 'https://127.0.0.1:1', '--model', 'm'], 1, /direct, https:\/\/127.0.0.1:1: nothing answers/],
  ['half an address', ['--against', 'x', '--model', 'm'], 64, /--against "x": wants host:port or https/],
])('%s: one line and its exit code', async (_what, argv, exitCode, line) => {
  const { code, err } = await bench('--direct', sim.listen, '--against', proxy.listen, ...argv)
  expect(err).toMatch(line)
  expect(err.split('\n')).toHaveLength(1)
  expect(code).toBe(exitCode)
})
