import pino from 'pino'
import { beforeEach, expect, test, vi } from 'vitest'
import { limits } from '../../core/limits.ts'
import { AgentCommand } from '../../proto/gen/millrace/telemetry/v1/command.ts'
import { EndpointHealth } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type CommandEnd, Commands } from './take-commands.ts'

let commands: Commands
let done: string[]
let ended: CommandEnd[]
let busUp: boolean
let probed: () => void

beforeEach(() => {
  done = []
  ended = []
  busUp = true
  commands = new Commands({
    probe: () =>
      new Promise((resolve) => {
        done.push('probe')
        probed = resolve
      }),
    endpoints: () => [
      { id: 'a/triton', health: EndpointHealth.ENDPOINT_HEALTH_READY, healthReason: '' },
      { id: 'a/vllm', health: EndpointHealth.ENDPOINT_HEALTH_FAILED, healthReason: 'refused' },
    ],
    reportNow: () => done.push('report') > 0 && busUp,
    drain: (reason) => void done.push(reason === undefined ? 'undrain' : `drain ${reason}`),
    clearGpuFault: (gpu) => {
      if (gpu === 'GPU-broken') throw new Error('the table is on fire')
      return { done: gpu === 'GPU-1', detail: gpu }
    },
    count: (end) => void ended.push(end),
    log: pino({ level: 'silent' }),
  })
})

const ask = (command: AgentCommand['command']) => commands.take(AgentCommand.encode({ command }).finish())
const clear = (gpuUuid: string) => ask({ $case: 'clearGpuFault', value: { gpuUuid } })

test('a probe is answered when the probes are done, with what they found', async () => {
  const answer = ask({ $case: 'probeNow', value: {} })
  expect(ended).toEqual([])
  probed()
  expect(await answer).toEqual({ done: true, detail: 'a/triton: READY\na/vllm: FAILED (refused)' })
})

test('each command does what it says, and each end is counted', async () => {
  expect((await ask({ $case: 'reportNow', value: {} })).done).toBe(true)
  busUp = false
  expect(await ask({ $case: 'reportNow', value: {} })).toMatchObject({ done: false, detail: expect.stringContaining('ask again') })
  expect((await ask({ $case: 'localDrain', value: { reason: 'x'.repeat(1_000) } })).done).toBe(true)
  expect((await ask({ $case: 'localUndrain', value: {} })).done).toBe(true)
  expect(await clear('GPU-1')).toEqual({ done: true, detail: 'GPU-1' })
  expect(await clear('GPU-2')).toEqual({ done: false, detail: 'GPU-2' })
  expect(await clear('GPU-broken')).toEqual({ done: false, detail: 'the table is on fire' })
  expect(done).toEqual(['report', 'report', `drain ${'x'.repeat(limits.reportTextMax)}`, 'undrain'])
  expect(ended).toEqual(['done', 'not-done', 'done', 'done', 'done', 'not-done', 'failed'])
})

test.each([
  ['nothing', new Uint8Array(0)],
  ['no command', new Uint8Array([0xff, 0x01])],
  ['more bytes than a command has', new Uint8Array(limits.commandBytesMax + 1)],
])('%s is answered, and does nothing', async (_, message) => {
  expect(await commands.take(message)).toMatchObject({ done: false, detail: expect.stringContaining('does not know this command') })
  expect([done, ended]).toEqual([[], ['unreadable']])
})

test('so many at a time, and one that takes too long is answered all the same', async () => {
  vi.useFakeTimers()
  try {
    const open = Array.from({ length: limits.agentCommandsMax }, () => ask({ $case: 'probeNow', value: {} }))
    expect((await ask({ $case: 'reportNow', value: {} })).detail).toContain('carries out 4 commands already')
    await vi.advanceTimersByTimeAsync(limits.probeCommandTimeout)
    expect((await Promise.all(open)).map(({ detail }) => detail)).toEqual(open.map(() => 'not done within 29000 ms; it goes on'))
    expect(ended).toEqual(['busy', ...open.map(() => 'too-late')])
  } finally {
    vi.useRealTimers()
  }
})
