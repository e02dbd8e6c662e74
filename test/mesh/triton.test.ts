/** A real Triton and the clients that its users have. What they see through a proxy is what they see from Triton itself. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readMetric, startProxy, type TestProxy } from '../tools/proxy.ts'
import { type PerfResult, perfAnalyzer, probe } from '../tools/python.ts'
import { startTriton, type TestTriton } from '../tools/triton.ts'

/** Equal to what Triton itself answers, to the last value. */
const EQUAL = [
  'sum_and_difference',
  'gzip',
  'deflate',
  'large_tensor',
  'request_id_and_version',
  'wrong_shape',
  'many_at_once',
  'tokens',
  'four_requests',
  'gzip_tokens',
  'error_within_stream',
  'no_request',
  'server_live',
  'server_ready',
  'model_ready',
  'unknown_model_ready',
  'server_metadata',
  'model_metadata',
  'model_config',
  'repository_index',
  'statistics',
  'cancelled_stream',
  'cancelled_call',
  'stream_deadline',
  'call_deadline',
]
const STATUS_ONLY = ['unknown_model', 'unknown_model_metadata']

const REFUSED = ['load_model', 'unload_model']

describe('tritonclient through the proxy', () => {
  let triton: TestTriton
  let proxy: TestProxy
  let direct: Record<string, unknown>
  let proxied: Record<string, unknown>

  beforeAll(async () => {
    triton = await startTriton()
    proxy = await startProxy([{ id: 'gpu-a/triton', address: triton.grpc }])
    const scenarios = [...EQUAL, ...STATUS_ONLY, ...REFUSED]
    direct = await probe(triton.grpc, ...scenarios)
    proxied = await probe(proxy.listen, ...scenarios)
  })
  afterAll(async () => {
    await proxy?.stop()
    await triton?.stop()
  })

  test.each(EQUAL)('%s is what Triton answers', (scenario) => {
    expect(direct[scenario]).toBeDefined()
    expect(proxied[scenario]).toEqual(direct[scenario])
  })

  test.each(STATUS_ONLY)('%s has the status that Triton gives it', (scenario) => {
    expect(proxied[scenario]).toMatchObject({
      status: (direct[scenario] as { status: string }).status,
      message: expect.stringContaining('no_such_model'),
    })
  })

  test('each token is a message of its own and none waits for the last', () => {
    const { answers, ...rest } = proxied.tokens as { answers: unknown[] }
    expect(answers).toHaveLength(20)
    expect(rest).toEqual({
      'after the final response': 0,
      'the first arrives before the last is produced': true,
      'no token arrives with the last': true,
    })
  })

  test('a five megabyte tensor comes back as it went', () => {
    expect(proxied.large_tensor).toMatchObject({ length: 5_000_000, same: true })
  })

  test('a client that leaves stops the work in the model', () => {
    expect(proxied.cancelled_stream).toMatchObject({ 'in the model': { started: 1, cancelled: 1, finished: 0 } })
  })

  test('a deadline that passes is DEADLINE_EXCEEDED and stops the work in the model', () => {
    expect(proxied.stream_deadline).toEqual({
      status: 'StatusCode.DEADLINE_EXCEEDED',
      'in the model': { started: 1, cancelled: 1, finished: 0 },
    })
    expect(proxied.call_deadline).toMatchObject({ status: 'StatusCode.DEADLINE_EXCEEDED', second: [0, 1, 2, 3] })
  })

  test('the statistics move with the calls that went through', () => {
    expect(proxied.statistics).toMatchObject({ inferences: 3, successes: 3, rows: 1 })
  })

  test.each(REFUSED)('%s is refused and the message says what to do instead', (scenario) => {
    expect(proxied[scenario]).toEqual({ status: 'StatusCode.PERMISSION_DENIED', message: expect.stringMatching(/on the server itself/) })
  })
})

describe('perf_analyzer against two Tritons behind one proxy', () => {
  let servers: TestTriton[]
  let proxy: TestProxy

  beforeAll(async () => {
    servers = await Promise.all([startTriton(), startTriton()])
    proxy = await startProxy(servers.map((server, index) => ({ id: `gpu-${index}/triton`, address: server.grpc })))
  })
  afterAll(async () => {
    await proxy?.stop()
    await Promise.all((servers ?? []).map((server) => server.stop()))
  })

  /** Requests that each server finished, and those that failed anywhere. */
  async function served(model: string): Promise<{ readonly each: readonly number[]; readonly failed: number }> {
    const label = `model="${model}"`
    const each = await Promise.all(servers.map((server) => readMetric(server.metrics, 'nv_inference_request_success', label)))
    const failures = await Promise.all(servers.map((server) => readMetric(server.metrics, 'nv_inference_request_failure', label)))
    return { each, failed: failures.reduce((sum, one) => sum + one, 0) }
  }

  async function expectBothServed(model: string, result: PerfResult): Promise<void> {
    expect(result.requests).toBeGreaterThan(0)
    expect(result.text).not.toMatch(/fail|error/i)
    // Triton counts a call only some time after its answer has left.
    const all = async (): Promise<number> => (await served(model)).each.reduce((sum, one) => sum + one, 0)
    await expect.poll(all).toBeGreaterThanOrEqual(result.requests)
    const { each, failed } = await served(model)
    expect(failed).toBe(0)
    expect(Math.min(...each), `${each.join(' and ')} requests`).toBeGreaterThan(0)
  }

  test('unary calls all succeed and both servers take their part', async () => {
    await expectBothServed('add_sub', await perfAnalyzer(proxy.listen, 'add_sub', 200, '--concurrency-range', '4'))
  })

  test('token streams all succeed and both servers take their part', async () => {
    const flags = ['--async', '--streaming', '--input-data', PERF_INPUT, '--concurrency-range', '4']
    await expectBothServed('llm_stream', await perfAnalyzer(proxy.listen, 'llm_stream', 50, ...flags))
    expect(await proxy.metric('millrace_http2_guards_total'), 'honest peers meet no guard').toBe(0)
  })
})

const PERF_INPUT = new URL('../triton/perf-input.json', import.meta.url).pathname
