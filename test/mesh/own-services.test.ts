/**
 * Health and reflection as real clients meet them: grpc-js with the standard service's own contract, and grpcurl, which learns from the proxy alone
 * what it may call and how.
 */
import { readFileSync } from 'node:fs'
import {
  type Client,
  type ClientReadableStream,
  credentials,
  status as GRPC,
  loadPackageDefinition,
  type ServiceClientConstructor,
} from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { lastLines, startChild } from '../../cli/child.ts'
import { goTool } from '../tools/go-tool.ts'
import { startProxy, type TestProxy } from '../tools/proxy.ts'
import { startSim, type TestSim } from '../tools/sim-server.ts'

const PATIENCE_MS = 20_000

type Answer = { readonly status: string }
type Done = (error: { readonly code: number } | null, answer: Answer) => void
type HealthClient = Client & {
  check(request: { service: string }, done: Done): void
  watch(request: { service: string }): ClientReadableStream<Answer>
}

const definition = loadSync('health/v1/health.proto', { includeDirs: ['node_modules/grpc-health-check/proto'], enums: String })
const { grpc } = loadPackageDefinition(definition) as unknown as {
  grpc: { health: { v1: { Health: ServiceClientConstructor } } }
}

let server: TestSim
let proxy: TestProxy
let client: HealthClient
let grpcurl = ''

beforeAll(async () => {
  grpcurl = await goTool('grpcurl', 'github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3')
  server = await startSim()
  proxy = await startProxy([{ id: 'gpu-a/sim', address: server.listen, models: ['sim_llm', 'alone'] }])
  client = healthClient()
}, 900_000)
afterAll(async () => {
  client?.close()
  await proxy?.stop()
  await server?.stop()
})

const healthClient = (): HealthClient =>
  new grpc.health.v1.Health(proxy.listen, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }) as unknown as HealthClient

const check = (service: string): Promise<string> =>
  new Promise((resolve) => client.check({ service }, (error, answer) => resolve(error === null ? answer.status : `code ${error.code}`)))

/** What a watcher has heard so far, and how it ended. */
function watch(by: HealthClient, service: string) {
  const heard: string[] = []
  const call = by.watch({ service })
  call.on('data', (answer: Answer) => heard.push(answer.status))
  call.on('error', (error: Error & { code?: number }) => heard.push(`code ${error.code}`))
  return { heard, cancel: () => call.cancel() }
}

function setState(state: string): void {
  const picture = JSON.parse(readFileSync(proxy.file, 'utf8')) as { endpoints: { state: string }[] }
  const endpoints = picture.endpoints.map((one) => ({ ...one, state }))
  proxy.put({ ...picture, endpoints })
}

test('health of the whole, of services, of routes and of models, now and as it changes', async () => {
  expect(await Promise.all(['', 'inference.GRPCInferenceService', 'grpc.testing.TestService', 'sim_llm'].map(check))).toEqual(
    new Array(4).fill('SERVING'),
  )
  expect(await Promise.all(['nobody', 'pair'].map(check))).toEqual([`code ${GRPC.NOT_FOUND}`, 'NOT_SERVING'])
  const watchers = ['', 'sim_llm', 'nobody'].map((name) => watch(client, name))
  const heard = (): string[] => watchers.map((one) => one.heard.join())
  await expect.poll(heard, { timeout: PATIENCE_MS }).toEqual(['SERVING', 'SERVING', 'SERVICE_UNKNOWN'])
  // A worker's report reaches the page a moment later.
  await expect.poll(() => proxy.metric('millrace_own_calls_open'), { timeout: PATIENCE_MS }).toBe(3)
  setState('FAILED')
  const twice = 'SERVING,NOT_SERVING'
  await expect.poll(heard, { timeout: PATIENCE_MS }).toEqual([twice, twice, 'SERVICE_UNKNOWN'])
  setState('READY')
  const thrice = `${twice},SERVING`
  await expect.poll(heard, { timeout: PATIENCE_MS }).toEqual([thrice, thrice, 'SERVICE_UNKNOWN'])
  for (const one of watchers) one.cancel()
  await expect.poll(() => proxy.metric('millrace_own_calls_open'), { timeout: PATIENCE_MS }).toBe(0)
  await expect.poll(() => proxy.metric('millrace_requests_open'), { timeout: PATIENCE_MS }).toBe(0)
})

async function run(...argv: readonly string[]): Promise<string> {
  const child = await startChild('grpcurl', grpcurl, ['-plaintext', '-max-time', '20', ...argv])
  const code = await child.exited
  const said = child.stdout.join('\n')
  if (code !== 0) throw new Error(`grpcurl ${argv.join(' ')} ended with ${code}:\n${lastLines([...child.stdout, ...child.stderr])}`)
  return said
}

describe('grpcurl, told nothing but the address', () => {
  test('lists services and methods, and describes every one of them with its messages', async () => {
    const services = (await run(proxy.listen, 'list')).split('\n')
    expect(services).toEqual([
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'inference.GRPCInferenceService',
      'millrace.inference.v1.InferenceService',
    ])
    expect((await run(proxy.listen, 'list', 'inference.GRPCInferenceService')).split('\n')).toContain(
      'inference.GRPCInferenceService.ModelInfer',
    )
    for (const service of services) expect(await run(proxy.listen, 'describe', service)).toContain('service')
    // With maps and nested messages, which are described wrongly most easily.
    for (const symbol of ['inference.ModelInferRequest', 'inference.ModelInferRequest.InferInputTensor', 'inference.ModelStatistics'])
      expect(await run(proxy.listen, 'describe', symbol)).toContain('message')
    await expect(run(proxy.listen, 'describe', 'millrace.admin.v1.AdminService')).rejects.toThrow()
  })

  test('calls health and inference', async () => {
    expect(JSON.parse(await run('-d', '{"service":"sim_llm"}', proxy.listen, 'grpc.health.v1.Health/Check'))).toEqual({ status: 'SERVING' })
    expect(await run(proxy.listen, 'grpc.health.v1.Health/List')).toContain('"sim_llm"')
    const watched = await startChild('grpcurl', grpcurl, ['-plaintext', proxy.listen, 'grpc.health.v1.Health/Watch'])
    try {
      await watched.waitForLine(/"SERVING"/, PATIENCE_MS)
      expect(watched.hasExited(), 'it goes on watching').toBe(false)
    } finally {
      await watched.stop()
    }
    expect(JSON.parse(await run(proxy.listen, 'inference.GRPCInferenceService/ServerLive'))).toEqual({ live: true })
    expect(JSON.parse(await run('-d', '{"name":"sim_llm"}', proxy.listen, 'inference.GRPCInferenceService/ModelReady'))).toEqual({
      ready: true,
    })
  })
})

test('a proxy that stops says so to its watchers as its last word, and they do not hold it', async () => {
  const own = healthClient()
  const watcher = watch(own, '')
  await expect.poll(() => watcher.heard.length, { timeout: PATIENCE_MS }).toBe(1)
  const began = performance.now()
  await proxy.stop()
  console.log(`stopped with a watcher after ${Math.round(performance.now() - began)} ms`)
  await expect.poll(() => watcher.heard, { timeout: PATIENCE_MS }).toEqual(['SERVING', 'NOT_SERVING', `code ${GRPC.UNAVAILABLE}`])
  own.close()
})
