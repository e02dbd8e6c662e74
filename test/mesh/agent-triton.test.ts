/** The agent beside a real Triton: what it makes of models that answer, are unloaded, are busy, and of a server that hangs with its ports open. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'nats'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { EndpointHealth, type EndpointReport, NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { tell } from '../tools/fleet.ts'
import { startNats, type TestNats } from '../tools/nats.ts'
import { readMetric } from '../tools/proxy.ts'
import { type Part, spawnPart } from '../tools/spawn-part.ts'
import { startTriton, type TestTriton } from '../tools/triton.ts'

const { ENDPOINT_HEALTH_BUSY, ENDPOINT_HEALTH_FAILED, ENDPOINT_HEALTH_READY } = EndpointHealth
const soon = { timeout: 60_000, interval: 20 }
const folder = mkdtempSync(join(tmpdir(), 'millrace-agent-triton-'))

let nats: TestNats
let triton: TestTriton
beforeAll(async () => {
  nats = await startNats()
  triton = await startTriton('--model-control-mode=explicit', '--load-model=*')
})
afterAll(async () => {
  triton?.signal('SIGCONT')
  await triton?.stop()
  await nats?.stop()
  rmSync(folder, { recursive: true, force: true })
})

type Watched = { readonly agent: Part; readonly newest: (id: string) => EndpointReport | undefined }

/** `servers`: as in an agent's file; the addresses of the real server are filled in. */
async function watch(node: string, more: string): Promise<Watched> {
  const reports = new Map<string, EndpointReport>()
  const connection = await connect({ servers: nats.url })
  onTestFinished(() => connection.close())
  connection.subscribe(`millrace.default.telemetry.${node}`, {
    callback: (_, message) => {
      for (const endpoint of NodeReport.decode(message.data).endpoints) reports.set(endpoint.id, endpoint)
    },
  })
  await connection.flush()
  const path = join(folder, `${node}.yaml`)
  writeFileSync(path, `servers:\n  - { grpc: '${triton.grpc}', http: '${triton.http}', metrics: '${triton.metrics}', ${more} }\n`)
  const self = ['--node', node, '--nats', nats.url, '--metrics-listen', '127.0.0.1:0', '--nvidia-smi', '/nowhere', '--kernel-log', 'off']
  const agent = await spawnPart('agent', [...self, '--config', path])
  onTestFinished(() => agent.kill())
  return { agent, newest: (id) => reports.get(id) }
}

const index = (model: string, verb: 'load' | 'unload') =>
  fetch(`http://${triton.http}/v2/repository/models/${model}/${verb}`, { method: 'POST', body: '{}' })

test('each model of a server is asked for a real inference, and an unloaded one is no longer offered', async () => {
  const { agent, newest } = await watch('probed', 'name: triton, probe: { everyMs: 200 }')
  const report = () => newest('probed/triton')
  await expect.poll(report, soon).toMatchObject({ health: ENDPOINT_HEALTH_READY, models: ['add_sub', 'echo', 'llm_stream'] })
  const verdicts = (verdict: string) =>
    readMetric(`http://${agent.fields.metrics}/metrics`, 'millrace_agent_probes_total', `verdict="${verdict}"`)
  await expect.poll(() => verdicts('passed'), soon).toBeGreaterThanOrEqual(3)
  // The line comes by a pipe of its own, maybe after the page.
  const told = () => agent.stderr.flatMap((line) => /"model":"(\w+)","verdict":"(\w+)"/.exec(line)?.slice(1).join(' ') ?? [])
  await expect.poll(() => told().toSorted(), soon).toEqual(['add_sub passed', 'echo passed', 'llm_stream passed'])

  const began = performance.now()
  expect((await index('echo', 'unload')).status).toBe(200)
  onTestFinished(async () => void (await index('echo', 'load')))
  await expect.poll(report, soon).toMatchObject({ health: ENDPOINT_HEALTH_READY, models: ['add_sub', 'llm_stream'] })
  tell(`an unloaded model is no longer offered after ${Math.round(performance.now() - began)} ms`)
  expect((await index('echo', 'load')).status).toBe(200)
  await expect.poll(report, soon).toMatchObject({ models: ['add_sub', 'echo', 'llm_stream'] })
})

test('a server whose told model is unloaded is not ready, and says which way', async () => {
  const { newest } = await watch('told', 'name: triton, models: [echo]')
  await expect.poll(() => newest('told/triton'), soon).toMatchObject({ health: ENDPOINT_HEALTH_READY, models: ['echo'] })
  await index('echo', 'unload')
  onTestFinished(async () => void (await index('echo', 'load')))
  await expect
    .poll(() => newest('told/triton'), soon)
    .toMatchObject({ health: ENDPOINT_HEALTH_FAILED, healthReason: 'none of its models is ready', models: ['echo'] })
  await index('echo', 'load')
  await expect.poll(() => newest('told/triton')?.health, soon).toBe(ENDPOINT_HEALTH_READY)
})

test('a model with a queue is late and therefore busy, never failed, and ready when the queue is gone', async () => {
  const inputs = [
    { name: 'INPUT', datatype: 'UINT8', shape: [1], data: [1] },
    { name: 'DELAY_MS', datatype: 'INT32', shape: [1], data: [3_000] },
  ]
  const slow = () => fetch(`http://${triton.http}/v2/models/echo/infer`, { method: 'POST', body: JSON.stringify({ inputs }) })
  // One works and others wait until the agent has seen it, however long its start takes.
  let seen = false
  const keepBusy = async (): Promise<number[]> => {
    const answers: number[] = []
    while (!seen) answers.push((await slow()).status)
    return answers
  }
  const work = Promise.all([keepBusy(), keepBusy(), keepBusy()])
  const { agent, newest } = await watch('queued', 'name: triton, models: [echo], probe: { timeoutMs: 500 }')
  onTestFinished(() => {
    seen = true
  })
  await expect
    .poll(() => newest('queued/triton'), soon)
    .toMatchObject({
      health: ENDPOINT_HEALTH_BUSY,
      healthReason: expect.stringMatching(
        /^model echo: no answer within 500 ms, while (others wait in its queue|it finishes other requests)$/,
      ),
    })
  seen = true
  expect(new Set((await work).flat())).toEqual(new Set([200]))
  await expect.poll(() => newest('queued/triton')?.health, soon).toBe(ENDPOINT_HEALTH_READY)
  expect(agent.stderr.filter((line) => line.includes('"state":"failed"'))).toEqual([])
})

test('a server that hangs with its ports open is failed by the deadline, and back when it goes on', async () => {
  const { newest } = await watch('hung', 'name: triton')
  await expect.poll(() => newest('hung/triton')?.health, soon).toBe(ENDPOINT_HEALTH_READY)
  const began = performance.now()
  triton.signal('SIGSTOP')
  onTestFinished(() => triton.signal('SIGCONT'))
  await expect
    .poll(() => newest('hung/triton'), soon)
    .toMatchObject({
      health: ENDPOINT_HEALTH_FAILED,
      healthReason: 'no answer within 1000 ms',
    })
  tell(`a hung server is FAILED after ${Math.round(performance.now() - began)} ms`)
  triton.signal('SIGCONT')
  await expect.poll(() => newest('hung/triton')?.health, soon).toBe(ENDPOINT_HEALTH_READY)
})
