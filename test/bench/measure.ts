/**
 * One measurement: one peer alone between callers and backends, started fresh, warmed by the same calls, measured, stopped.
 * CPU is that of the peer's whole process family between the first measured call and the end of the last.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { type Child, startChild } from '../../cli/child.ts'
import { type Backend, type LoadResult, resultOf, startBackend } from './load-program.ts'
import type { Found, Running, Tls } from './peer.ts'
import { readUsage } from './proc.ts'
import type { Scenario } from './scenarios.ts'
import type { Values } from './statistics.ts'

export type Bench = {
  readonly loadProgram: string
  readonly folder: string
  readonly tls: Tls
  readonly seconds: number
  readonly warmSeconds: number
  readonly signal: AbortSignal
}

export type Measured = { readonly values: Values; readonly note?: string }

/** Beyond the time of the calls: for the last stream to end, and for a hanging call to be told from a slow one. */
const PATIENCE_MS = 60_000
/** Lets the garbage of the last step go and the kernel settle before a resident set is read. */
const IDLE_SETTLE_SECONDS = 2

type Started = Extract<Found, { state: 'found' }> | undefined

/** Without a peer the callers go straight to the backend. */
export async function measure(bench: Bench, scenario: Scenario, peer: Started): Promise<Measured> {
  const backends: Backend[] = []
  let proxy: Running | undefined
  try {
    for (let i = 0; i < scenario.processes; i++)
      backends.push(await startBackend(bench.loadProgram, `b${i}`, scenario.ports, scenario.backend(bench.seconds)))
    const addresses = backends.flatMap((one) => one.addresses)
    const tls = scenario.tls === true ? bench.tls : undefined
    proxy = await peer?.start({ backends: addresses, failover: scenario.kind === 'failover', tls, folder: bench.folder })
    bench.signal.throwIfAborted()
    return await measureStarted(bench, scenario, { address: proxy?.address ?? addresses[0] ?? '', ca: tls?.ca, proxy, backends })
  } finally {
    await proxy?.stop()
    for (const one of backends) {
      one.child.kill()
      await one.child.exited
    }
  }
}

type Stage = {
  readonly address: string
  readonly ca: string | undefined
  readonly proxy: Running | undefined
  readonly backends: readonly Backend[]
}

async function measureStarted(bench: Bench, scenario: Scenario, stage: Stage): Promise<Measured> {
  if (scenario.kind === 'idle') return measureIdle(bench, scenario, stage)
  await callFor(bench, warmUpOf(scenario, bench), bench.warmSeconds, stage)
  if (scenario.beside !== undefined)
    return withCallers(bench, scenario.beside, bench.seconds, stage, () => measureCalls(bench, scenario, stage))
  return measureCalls(bench, scenario, stage)
}

async function measureCalls(bench: Bench, scenario: Scenario, stage: Stage): Promise<Measured> {
  const usageBefore = stage.proxy && readUsage(stage.proxy.pid)
  const retriesBefore = await stage.proxy?.retries?.()
  const result = await callFor(
    bench,
    [...scenario.load(bench.seconds, stage.proxy?.workers ?? 1), ...extraFlags(scenario, stage)],
    bench.seconds,
    stage,
  )
  const usage = stage.proxy && readUsage(stage.proxy.pid)
  const retries = scenario.kind === 'failover' ? await stage.proxy?.retries?.() : undefined
  return {
    ...noteOf(result),
    values: {
      ...spans(result),
      requests: result.requests,
      requestsPerSecond: result.requests / result.seconds,
      messagesPerSecond: result.messages / result.seconds,
      ...(usage && usageBefore ? costs(usage.cpuSeconds - usageBefore.cpuSeconds, result) : {}),
      ...(usage ? { rssMib: usage.rssKib / 1024 } : {}),
      ...(retries === undefined ? {} : { retries: retries - (retriesBefore ?? 0) }),
    },
  }
}

/** Nobody dies in a warm-up, and streams as long as the scenario's own would make it as long as the measurement. */
export const warmUpOf = (scenario: Scenario, bench: Bench): readonly string[] =>
  scenario.load(bench.seconds, 1)[0] === 'stream' ? scenario.load(bench.seconds, 1) : ['unary', '-conc', '32', '-size', '1024']

function extraFlags(scenario: Scenario, { backends }: Stage): readonly string[] {
  const [first] = backends
  if (first === undefined) return []
  if (scenario.kind === 'cancel') return ['-control', first.addresses[0] ?? '']
  return scenario.kind === 'failover' ? ['-kill', String(first.child.pid), '-dead', first.name] : []
}

/** Starts the callers; an interrupt ends them, and with them the wait. */
async function withCallers<T>(
  bench: Bench,
  flags: readonly string[],
  seconds: number,
  stage: Stage,
  work: (callers: Child) => Promise<T>,
): Promise<T> {
  const callers = await startChild('callers', bench.loadProgram, [
    ...flags,
    ...(stage.ca === undefined ? [] : ['-ca', stage.ca]),
    '-addr',
    stage.address,
    '-dur',
    `${seconds}s`,
  ])
  const end = (): void => callers.kill()
  bench.signal.addEventListener('abort', end, { once: true })
  try {
    return await work(callers)
  } finally {
    bench.signal.removeEventListener('abort', end)
    callers.kill()
    await callers.exited
  }
}

export const callFor = (bench: Bench, flags: readonly string[], seconds: number, stage: Stage): Promise<LoadResult> =>
  withCallers(bench, flags, seconds, stage, (callers) => resultOf(callers, seconds * 1000 + PATIENCE_MS))

/** What a stream costs is the growth between a few streams on all connections and all streams on the same connections. */
function measureIdle(bench: Bench, scenario: Scenario, stage: Stage): Promise<Measured> {
  const flags = scenario.load(bench.seconds, 1)
  return withCallers(bench, flags, IDLE_SETTLE_SECONDS * 2, stage, async (callers) => {
    const phase = async (name: string): Promise<{ readonly streams: number; readonly rssKib: number | undefined }> => {
      const line = await callers.waitForLine(new RegExp(`"phase":"${name}"`), PATIENCE_MS)
      await wait(IDLE_SETTLE_SECONDS * 1000, undefined, { signal: bench.signal })
      return { streams: Number(/"streams":(\d+)/.exec(line)?.[1]), rssKib: stage.proxy && readUsage(stage.proxy.pid).rssKib }
    }
    const [few, all] = [await phase('connected'), await phase('held')]
    const result = await resultOf(callers, PATIENCE_MS)
    const rss =
      few.rssKib === undefined || all.rssKib === undefined
        ? {}
        : { rssMib: all.rssKib / 1024, rssPerStreamKib: (all.rssKib - few.rssKib) / (all.streams - few.streams) }
    return { ...noteOf(result), values: { errors: result.errors, requests: result.requests, ...rss } }
  })
}

const noteOf = (result: LoadResult): { readonly note?: string } =>
  result.firstError === undefined ? {} : { note: `first error: ${result.firstError}` }

const costs = (cpuSeconds: number, result: LoadResult): Values => ({
  ...(result.requests > 0 ? { cpuPerRequestMicros: (cpuSeconds * 1e6) / result.requests } : {}),
  ...(result.messages > 0 ? { cpuPerMessageMicros: (cpuSeconds * 1e6) / result.messages } : {}),
})

function spans(result: LoadResult): Values {
  const { p50Micros, p99Micros, p999Micros, maxMicros, lost, deadUntilMillis, errors } = result
  const known = Object.entries({ p50Micros, p99Micros, p999Micros, maxMicros, lost, deadUntilMillis, errors }).filter(
    ([, value]) => value !== undefined,
  )
  return Object.fromEntries(known)
}
