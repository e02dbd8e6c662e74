/**
 * `npm run bench -- --memory`: does the proxy grow? Primary and one worker under a mixed load for minutes; each minute the heap of both after a full
 * collection and their resident set, and at the end the slope of each with its error.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { type Child, startChild } from '../../cli/child.ts'
import { INSPECTED, type Inspected, inspectProxy } from './inspector.ts'
import { type Backend, type LoadResult, resultOf, startBackend } from './load-program.ts'
import { originOf } from './machine.ts'
import type { Bench } from './measure.ts'
import { startMillrace } from './peers/millrace.ts'
import { readUsage } from './proc.ts'
import type { MemoryRun, MemorySample } from './records.ts'
import { slopeOf } from './statistics.ts'

const PACED = ['-tokens', '256', '-gap', '10ms']
/** What runs all the time, and how it is told. */
const STEADY = [
  { about: 'unary 1 KiB with a caller’s headers, 300/s', flags: ['unary', '-rate', '300', '-size', '1024', '-caller'] },
  { about: 'echo of 256 KiB, 4/s', flags: ['unary', '-rate', '4', '-size', '262144'] },
  { about: '64 streams of 256 messages, one every 10 ms', flags: ['stream', '-conc', '64', '-conns', '8', '-size', '64'] },
] as const
const CANCELS = {
  about: '40 streams/s cancelled after their first message',
  flags: ['cancel', '-rate', '40', '-conns', '16', '-size', '64'],
}
const CHURN = {
  about: '32 connections opened, used and closed every 2 s',
  flags: ['unary', '-conc', '32', '-conns', '32', '-size', '1024'],
}
const CHURN_CALLS_SECONDS = 0.1
const CHURN_PAUSE_MS = 2_000

const SAMPLES_MIN = 10
/** Code is compiled and pools are filled before the first sample counts. */
const SETTLE_SHARE = 0.2
const PATIENCE_MS = 60_000

const memoryUsage = z.object({ heapUsed: z.number(), external: z.number() })

type Callers = { readonly child: Child; readonly ends: Promise<LoadResult> }

export async function memorySlope(bench: Bench, minutes: number, say: (line: string) => void): Promise<MemoryRun> {
  const origin = await originOf()
  const backend = await startBackend(bench.loadProgram, 'b0', 1, PACED)
  const proxy = await startMillrace({
    ...{ backends: backend.addresses, folder: bench.folder, tls: undefined, workers: 1, env: INSPECTED },
  })
  const callers: Callers[] = []
  let processes: readonly Inspected[] = []
  try {
    processes = await inspectProxy(proxy)
    const until = performance.now() + minutes * 60_000
    const address = proxy.fields.listen ?? ''
    for (const flags of [...STEADY.map((one) => one.flags), [...CANCELS.flags, '-control', backend.addresses[0] ?? '']])
      callers.push(await startCallers(bench, flags, address, minutes * 60))
    const churned = churn(bench, address, until)
    const samples = await sample(processes, proxy.pid, minutes, bench, say)
    const results = [...(await Promise.all(callers.map((one) => one.ends))), await churned]
    const sum = (of: (one: LoadResult) => number): number => results.reduce((total, one) => total + of(one), 0)
    const slope = (of: (one: MemorySample) => number) => slopeOf(samples.map((one) => [one.minute, of(one)] as const))
    for (const { firstError } of results) if (firstError !== undefined) say(`first error: ${firstError}`)
    return {
      ...{ ...origin, minutes },
      load: [...STEADY, CANCELS, CHURN].map((one) => one.about),
      requests: sum((one) => one.requests),
      messages: sum((one) => one.messages),
      errors: sum((one) => one.errors),
      samples,
      slopes: { heap: slope((one) => one.heapKib), external: slope((one) => one.externalKib), rss: slope((one) => one.rssKib) },
    }
  } finally {
    // A process that is inspected does not end before its inspector has left.
    for (const one of processes) one.inspector.close()
    for (const one of callers) one.child.kill()
    await proxy.stop()
    await endBackend(backend)
  }
}

async function startCallers(bench: Bench, flags: readonly string[], address: string, seconds: number): Promise<Callers> {
  const child = await startChild('callers', bench.loadProgram, [...flags, '-addr', address, '-dur', `${seconds}s`])
  const ends = resultOf(child, seconds * 1000 + PATIENCE_MS)
  ends.catch(() => {})
  return { child, ends }
}

/** Connections come and go all the time; each round is a process of callers of its own. */
async function churn(bench: Bench, address: string, until: number): Promise<LoadResult> {
  const total = { requests: 0, messages: 0, errors: 0, seconds: 0 }
  while (performance.now() < until && !bench.signal.aborted) {
    const { child, ends } = await startCallers(bench, CHURN.flags, address, CHURN_CALLS_SECONDS)
    const result = await ends
    await child.exited
    total.requests += result.requests
    total.messages += result.messages
    total.errors += result.errors
    await wait(Math.max(0, Math.min(CHURN_PAUSE_MS, until - performance.now())))
  }
  return total
}

async function sample(
  processes: readonly Inspected[],
  pid: number,
  minutes: number,
  bench: Bench,
  say: (line: string) => void,
): Promise<MemorySample[]> {
  const samples: MemorySample[] = []
  const periodMinutes = Math.min(1, minutes / SAMPLES_MIN)
  const begun = performance.now()
  const minuteNow = (): number => (performance.now() - begun) / 60_000
  for (let due = minutes * SETTLE_SHARE; due <= minutes; due += periodMinutes) {
    await wait(Math.max(0, (due - minuteNow()) * 60_000), undefined, { signal: bench.signal })
    let [heapKib, externalKib] = [0, 0]
    for (const { inspector } of processes) {
      await inspector.call('HeapProfiler.collectGarbage')
      const { heapUsed, external } = memoryUsage.parse(await inspector.evaluate('process.memoryUsage()'))
      heapKib += heapUsed / 1024
      externalKib += external / 1024
    }
    const one = { minute: minuteNow(), rssKib: readUsage(pid).rssKib, heapKib, externalKib }
    samples.push(one)
    const mib = (kib: number): string => (kib / 1024).toFixed(1)
    say(`minute ${one.minute.toFixed(1)}: heap ${mib(one.heapKib)} MiB, external ${mib(one.externalKib)} MiB, RSS ${mib(one.rssKib)} MiB`)
  }
  return samples
}

async function endBackend(backend: Backend): Promise<void> {
  backend.child.kill()
  await backend.child.exited
}
