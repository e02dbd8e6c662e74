/**
 * Plays a scenario's traffic on real processes: nats-server, control plane, agents, a proxy and model servers, each as an operator starts it. Open loop: what
 * is sent does not wait for what comes back.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { Client, credentials, status } from '@grpc/grpc-js'
import { millis } from '../../core/units.ts'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import { InferenceServiceService } from '../../proto/gen/millrace/inference/v1/inference.ts'
import { seededDraw } from '../../sim/model-server/queue.ts'
import { type Quantiles, quantiles } from '../../sim/simulate/report/measures.ts'
import { capacityPerSecond } from '../../sim/simulate/scenario/fleet-capacity.ts'
import type { Scenario } from '../../sim/simulate/scenario/scenario.ts'
import { Workload } from '../../sim/simulate/workload/workload.ts'
import { Fleet } from '../tools/fleet.ts'

export type Seen = { readonly ttftMs: Quantiles; readonly latencyMs: Quantiles; readonly requests: number; readonly failed: number }

type Sent = { readonly at: number; firstAt?: number; endAt?: number; ok: boolean }

const PATH = InferenceServiceService.streamInfer.path
const asIs = (bytes: Buffer): Buffer => bytes
const CONNECTIONS = 4
/** The fleet's own probes of its servers are over by then. */
const QUIET_MS = 2_000

export async function playForReal(scenario: Scenario, load: number, seed: number): Promise<Seen> {
  const servers = scenario.servers.map(({ kind, rules }) => {
    if (kind !== 'slots') throw new Error(`${scenario.name}: only servers with slots exist as processes`)
    return rules
  })
  const fleet = await Fleet.start({
    nodes: servers.length,
    slots: servers[0]?.slots ?? 1,
    server: (at) => {
      const { prefill, token, jitter, queueMax } = servers[at] as (typeof servers)[number]
      return ['--prefill-ms', `${prefill}`, '--token-ms', `${token}`, '--jitter', `${jitter}`, '--queue-max', `${queueMax}`]
    },
    proxy: ['--workers', '1'],
  })
  try {
    await wait(QUIET_MS)
    return await send(scenario, load, seed, fleet.proxy.listen)
  } finally {
    await fleet.stop()
  }
}

async function send(scenario: Scenario, load: number, seed: number, to: string): Promise<Seen> {
  const clients = Array.from(
    { length: CONNECTIONS },
    () => new Client(to, credentials.createInsecure(), { 'grpc.enable_retries': 0, 'grpc.use_local_subchannel_pool': 1 }),
  )
  const [from, to_] = [1000 * scenario.warmUpSeconds, 1000 * (scenario.warmUpSeconds + scenario.seconds)]
  const workload = new Workload(scenario.workload, load * capacityPerSecond(scenario), millis(0), seededDraw(seed))
  const sent: Sent[] = []
  const ends: Promise<void>[] = []
  const began = performance.now()
  for (let arrival = workload.next(); arrival.at < to_; arrival = workload.next()) {
    const early = arrival.at - (performance.now() - began)
    if (early > 1) await wait(early)
    const one: Sent = { at: performance.now(), ok: false }
    ends.push(stream(clients[sent.length % CONNECTIONS] as Client, arrival.outputTokens, one))
    sent.push(one)
  }
  await Promise.all(ends)
  for (const client of clients) client.close()
  return seenOf(sent.filter(({ at }) => at - began >= from))
}

function stream(client: Client, tokens: number, one: Sent): Promise<void> {
  const call = client.makeBidiStreamRequest(PATH, asIs, asIs, { deadline: Date.now() + 120_000 })
  call.on('data', () => {
    one.firstAt ??= performance.now()
  })
  call.on('error', () => {})
  call.write(requestFor(tokens))
  call.end()
  return new Promise((resolve) =>
    call.on('status', ({ code }) => {
      one.endAt = performance.now()
      one.ok = code === status.OK
      resolve()
    }),
  )
}

function requestFor(tokens: number): Buffer {
  const inputs = [
    { name: 'text_input', datatype: 'BYTES', shape: [1n], contents: { bytesContents: [Buffer.from('a question')] } },
    { name: 'max_tokens', datatype: 'INT32', shape: [1n], contents: { intContents: [tokens] } },
  ]
  return Buffer.from(ModelInferRequest.encode(ModelInferRequest.fromPartial({ modelName: 'sim_llm', inputs })).finish())
}

function seenOf(sent: readonly Sent[]): Seen {
  const well = sent.filter(({ ok }) => ok)
  const ttftMs = quantiles(well.map(({ at, firstAt = at }) => firstAt - at))
  const latencyMs = quantiles(well.map(({ at, endAt = at }) => endAt - at))
  if (ttftMs === undefined || latencyMs === undefined) throw new Error('no request was answered')
  return { ttftMs, latencyMs, requests: sent.length, failed: sent.length - well.length }
}
