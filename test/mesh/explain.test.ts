/** "Why?" through the whole mesh: a traced request is found by its trace in the proxy that took it, with what decided and how it ended. */
import { type Client, Metadata } from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startVerb } from '../../cli/child.ts'
import { connect, loadService, method } from '../../cli/grpc-call.ts'
import { promptRequest } from '../../cli/inference-call.ts'
import { Fleet, until } from '../tools/fleet.ts'
import { startProxy } from '../tools/proxy.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
let fleet: Fleet

beforeAll(async () => {
  fleet = await Fleet.start({ nodes: 3, proxy: ['--workers', '2'] })
})
afterAll(() => fleet?.stop())

function infer(client: Client, metadata: Metadata): Promise<unknown> {
  const { path, requestSerialize, responseDeserialize } = method(
    loadService('inference/grpc_service.proto', 'inference.GRPCInferenceService'),
    'ModelStreamInfer',
  )
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata)
  stream.end(promptRequest('sim_llm', 'why?', 3))
  return new Promise((resolve, reject) =>
    stream
      .on('data', () => {})
      .on('error', reject)
      .on('status', resolve),
  )
}

type Line = {
  readonly proxy: string
  readonly now?: { readonly passed_over: unknown }
  readonly decision?: Readonly<Record<string, unknown>>
}
const explain = async (...argv: readonly string[]): Promise<Line[]> =>
  (await fleet.admin('explain', '--json', ...argv))
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line)

test('a traced request is found by its trace, with its candidates, their terms and its end', async () => {
  const metadata = new Metadata()
  metadata.set('traceparent', `00-${TRACE}-00f067aa0ba902b7-01`)
  const client = connect(fleet.proxy.listen)
  await infer(client, metadata)
  client.close()
  let lines: Line[] = []
  await until('the decision has ended', async () => {
    lines = await explain('--trace', TRACE)
    return (lines[0]?.decision?.end ?? null) !== null
  })
  expect(lines).toHaveLength(1)
  const { proxy, decision } = lines[0] as Line
  expect(proxy).toBe('proxy-1')
  expect(decision).toMatchObject({ trace_id: TRACE, attempt: 1, end: { outcome: 'success', status: 0, messages: 3 } })
  expect(fleet.endpoints).toContain(decision?.endpoint_id)
  const choice = decision?.choice as { readonly candidates: readonly { readonly endpoint_id: string; readonly compared: boolean }[] }
  expect(choice).toMatchObject({ model: 'sim_llm', policy: 'LEAST_WAIT', candidates_total: 3, endpoints_total: 3 })
  expect(choice.candidates[0]).toMatchObject({ endpoint_id: decision?.endpoint_id, compared: true })
  expect(choice.candidates.filter(({ compared }) => compared)).toHaveLength(2)
})

test('how a model stands now names who is passed over, and a page for people says the same', async () => {
  await fleet.admin('drain', 'sim-2')
  const passedOver = async (): Promise<unknown> => (await explain('--model', 'sim_llm'))[0]?.now?.passed_over
  await until('the proxy knows of the drain', async () => JSON.stringify(await passedOver()).includes('sim-2'))
  expect(await passedOver()).toEqual([{ why: 'DRAINING: never asked', count: 1, endpoint_ids: ['sim-2/sim'] }])
  const page = await fleet.admin('explain', '--model', 'sim_llm')
  expect(page).toContain('model sim_llm, policy LEAST_WAIT')
  expect(page).toContain('1 passed over: DRAINING: never asked (sim-2/sim)')
})

test('a question about a proxy that is not there says who is', async () => {
  await expect(fleet.admin('explain', '--model', 'sim_llm', '--proxy', 'nobody')).rejects.toThrow(
    'no proxy "nobody" here; there are proxy-1',
  )
})

test('a proxy that follows no control plane is asked itself, and says it in the same words', async () => {
  const proxy = await startProxy([{ id: 'alone/sim', address: '127.0.0.1:1', state: 'DRAINING' }])
  try {
    const child = await startVerb('admin', 'admin', ['explain', '--model', 'sim_llm', '--at', proxy.part.fields.metrics ?? ''])
    expect(await child.exited, child.stderr.join('\n')).toBe(0)
    expect(child.stdout.join('\n')).toContain('model sim_llm, policy LEAST_WAIT')
    expect(child.stdout.join('\n')).toContain('1 passed over: DRAINING: never asked (alone/sim)')
  } finally {
    await proxy.stop()
  }
})
