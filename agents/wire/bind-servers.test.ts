import { pino } from 'pino'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { GpuProcesses } from '../gpu/bind.ts'
import { bindServers } from './bind-servers.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const LEFT = { name: 'left', grpc: '127.0.0.1:8001', http: '127.0.0.1:8000' }

function binder() {
  const said: string[] = []
  const host = { told: { kind: 'nothing', reason: 'nvidia-smi does not answer now' } as GpuProcesses, questions: 0, changes: 0 }
  const binding = bindServers({
    apps: () => {
      host.questions++
      return Promise.resolve(host.told)
    },
    listening: () => Promise.resolve(['7']),
    processes: (pids) => Promise.resolve(new Map(pids.map((pid) => [pid, { parent: 0, sockets: new Set(['7']) }]))),
    log: pino({ level: 'info' }, { write: (line: string) => void said.push((JSON.parse(line) as { msg: string }).msg) }),
    onChange: () => host.changes++,
  })
  onTestFinished(() => binding.close())
  const round = (ms: number) => vi.advanceTimersByTimeAsync(ms)
  return { host, binding, said, round }
}

test('nothing is asked while every server is told of', async () => {
  const { host, round } = binder()
  await round(10 * limits.bindingPeriod)
  expect(host.questions).toBe(0)
})

test('a server is asked about within a second of coming up, and every ten seconds; why nobody can tell is said once', async () => {
  const { host, binding, said, round } = binder()
  const gpus = () => binding.gpusOf(LEFT)
  expect(gpus()).toBeUndefined()
  await round(limits.bindingGap)
  expect([host.questions, said]).toEqual([1, ['gpu-binding.unknown']])
  for (let rounds = 0; rounds < 3; rounds++) {
    expect(gpus()).toBeUndefined()
    await round(limits.bindingPeriod)
  }
  expect([host.questions, said]).toEqual([4, ['gpu-binding.unknown']])

  host.told = { kind: 'apps', apps: [{ gpuUuid: 'GPU-1', pid: 9 }] }
  gpus()
  binding.askSoon()
  await round(limits.bindingGap)
  expect([gpus(), host.changes, said.at(-1)]).toEqual([['GPU-1'], 1, 'gpu-binding.known'])
})

test('a server that nobody asks about any more is watched no more', async () => {
  const { host, binding, round } = binder()
  binding.gpusOf(LEFT)
  await round(limits.bindingGap + 5 * limits.bindingPeriod)
  expect(host.questions).toBe(1)
})
