import { type ServiceError, status } from '@grpc/grpc-js'
import pino from 'pino'
import { beforeEach, expect, test } from 'vitest'
import { NoAnswer } from '../../core/edge/nats-link.ts'
import { limits } from '../../core/limits.ts'
import { CommandAgentRequest, type CommandAgentResponse } from '../../proto/gen/millrace/admin/v1/admin.ts'
import { AgentAnswer, AgentCommand } from '../../proto/gen/millrace/telemetry/v1/command.ts'
import { AgentCommands } from './agent-commands.ts'

let asked: { readonly subject: string; readonly command: AgentCommand['command']; readonly deadline: number }[]
let agent: () => Promise<Uint8Array>
let commands: AgentCommands

beforeEach(() => {
  asked = []
  agent = async () => AgentAnswer.encode({ done: true, detail: 'ok' }).finish()
  commands = new AgentCommands('m', pino({ level: 'silent' }))
  commands.follow({
    request: (subject, message, deadline) => {
      asked.push({ subject, command: AgentCommand.decode(message).command, deadline })
      return agent()
    },
    detail: () => 'h:1 does not answer',
  })
})

const PROBE: AgentCommand = { command: { $case: 'probeNow', value: {} } }
const drain = (reason: string): AgentCommand => ({ command: { $case: 'localDrain', value: { reason } } })

type Told = { readonly answer: CommandAgentResponse } | { readonly error: Partial<ServiceError> }

const ask = (nodeId: string, command: AgentCommand | undefined): Promise<Told> =>
  new Promise((resolve) => {
    void commands.handle({ request: CommandAgentRequest.fromPartial({ nodeId, command }) }, (error, answer) =>
      resolve(error === null && answer != null ? { answer } : { error: error ?? {} }),
    )
  })

test('a command goes to its node alone, with the time that it may take, and the answer comes back', async () => {
  expect(await ask('gpu-a', PROBE)).toEqual({ answer: { answer: { done: true, detail: 'ok' } } })
  await ask('gpu-b', drain('fans'))
  expect(asked).toEqual([
    { subject: 'millrace.m.command.gpu-a', command: PROBE.command, deadline: limits.probeCommandTimeout },
    { subject: 'millrace.m.command.gpu-b', command: drain('fans').command, deadline: limits.commandTimeout },
  ])
  agent = async () => AgentAnswer.encode({ done: false, detail: 'busy' }).finish()
  expect(await ask('gpu-a', PROBE)).toEqual({ answer: { answer: { done: false, detail: 'busy' } } })
  expect(commands.ends).toMatchObject({ done: 2, 'not-done': 1 })
})

test.each<[string, string, AgentCommand | undefined, number, RegExp]>([
  ['a name that would reach other subjects', '*', PROBE, status.INVALID_ARGUMENT, /no name of a node/],
  ['no command', 'gpu-a', undefined, status.INVALID_ARGUMENT, /no command/],
  ['a command without a kind', 'gpu-a', AgentCommand.fromPartial({}), status.INVALID_ARGUMENT, /no command/],
  ['too long a reason', 'gpu-a', drain('x'.repeat(limits.commandBytesMax)), status.INVALID_ARGUMENT, /at most 4096 bytes/],
])('%s is refused before anybody is asked', async (_, node, command, code, details) => {
  expect(await ask(node, command)).toEqual({ error: { code, details: expect.stringMatching(details) } })
  expect(asked).toEqual([])
})

test.each<[string, () => Promise<Uint8Array>, number, RegExp]>([
  ['nobody listens', () => Promise.reject(new NoAnswer('nobody-listens')), status.UNAVAILABLE, /no agent of the name "gpu-a" listens/],
  ['no answer in time', () => Promise.reject(new NoAnswer('deadline')), status.DEADLINE_EXCEEDED, /within 30000 ms; it may still do/],
  ['NATS is away', () => Promise.reject(new NoAnswer('link-down')), status.UNAVAILABLE, /NATS is away \(h:1 does not answer\)/],
  ['bytes that are no answer', async () => new Uint8Array([0xff]), status.INTERNAL, /something that is no answer/],
  ['an answer without end', async () => new Uint8Array(limits.commandAnswerBytesMax + 1), status.INTERNAL, /too great length/],
])('%s is told with its cause', async (_, behave, code, details) => {
  agent = behave
  expect(await ask('gpu-a', PROBE)).toEqual({ error: { code, details: expect.stringMatching(details) } })
})

test('so many wait at once; the next is turned away, and there is room again when one was answered', async () => {
  const open: ((bytes: Uint8Array) => void)[] = []
  agent = () => new Promise((resolve) => open.push(resolve))
  const waiting = Array.from({ length: limits.commandsWaitingMax }, () => ask('gpu-a', PROBE))
  expect(await ask('gpu-a', PROBE)).toMatchObject({ error: { code: status.RESOURCE_EXHAUSTED } })
  for (const answer of open.splice(0)) answer(AgentAnswer.encode({ done: true, detail: '' }).finish())
  await Promise.all(waiting)
  const last = ask('gpu-a', PROBE)
  open[0]?.(AgentAnswer.encode({ done: true, detail: 'again' }).finish())
  expect(await last).toMatchObject({ answer: { answer: { detail: 'again' } } })
})

test('before NATS answered for the first time it says so', async () => {
  commands = new AgentCommands('m', pino({ level: 'silent' }))
  expect(await ask('gpu-a', PROBE)).toMatchObject({
    error: { code: status.UNAVAILABLE, details: expect.stringContaining('did not answer yet') },
  })
})
