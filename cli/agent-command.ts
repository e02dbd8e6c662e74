/** `millrace admin probe | report | local-drain | local-undrain | clear-fault`: asks the agent of one node to do something now, by way of a control plane. */
import { z } from 'zod'
import { flag, hostPort, readSettings, UsageError } from '../core/edge/settings.ts'
import { limits } from '../core/limits.ts'
import { CommandFailure } from './command-failure.ts'
import { callUnary, connect, explainCall, loadService, type Message, method } from './grpc-call.ts'

type Action = {
  readonly words: string
  readonly about: string
  readonly example: string
  /** As proto-loader takes it. `subject` is the word behind the node. */
  readonly command: (subject: string, reason: string) => Message
}

const ACTIONS: Readonly<Record<string, Action>> = {
  probe: {
    words: 'NODE',
    about: 'Has the agent probe every inference server of its host now, and tells what it found.',
    example: 'gpu-a',
    command: () => ({ probe_now: {} }),
  },
  report: { words: 'NODE', about: 'Has the agent send a full report now.', example: 'gpu-a', command: () => ({ report_now: {} }) },
  'local-drain': {
    words: 'NODE',
    about: 'Has the agent say that its host wants no new requests; lasts until local-undrain, or until the agent starts anew.',
    example: 'gpu-a --reason "new fans"',
    command: (_, reason) => ({ local_drain: { reason } }),
  },
  'local-undrain': { words: 'NODE', about: 'Lifts a local-drain.', example: 'gpu-a', command: () => ({ local_undrain: {} }) },
  'clear-fault': {
    words: 'NODE GPU',
    about: 'Tells the agent that a GPU with a fault from the log of the kernel is well again: by its uuid or its place on the bus.',
    example: 'gpu-a GPU-6e8f…',
    command: (gpu_uuid) => ({ clear_gpu_fault: { gpu_uuid } }),
  },
}

/** Longer than a control plane waits for the agent: its answer says more than our own deadline. */
const CALL_DEADLINE_MS = limits.probeCommandTimeout + 5_000

export const isAgentAction = (word: string | undefined): boolean => word !== undefined && Object.hasOwn(ACTIONS, word)

export const AGENT_ACTIONS: readonly string[] = Object.keys(ACTIONS)

/** `words` are the action and what it is about, `flags` the rest. */
export async function commandAgent(words: readonly string[], flags: readonly string[]): Promise<void> {
  const [name = '', node, ...more] = words
  const action = ACTIONS[name]
  if (action === undefined) throw new UsageError(`no action "${name}"`)
  const settings = readSettings(
    {
      name: `admin ${name} ${action.words}`,
      about: action.about,
      example: `millrace admin ${name} ${action.example}`,
      settings: {
        to: { value: 'host:port', about: 'the control plane', schema: hostPort, fallback: '127.0.0.1:7401' },
        reason: { value: 'text', about: 'of a local-drain, shown to others', schema: z.string().max(limits.reportTextMax) },
        json: { about: 'the answer as JSON', schema: flag, fallback: false },
      },
    },
    flags,
  )
  const wanted = action.words.split(' ').length
  if (words.length - 1 < wanted || node === undefined)
    throw new UsageError(`${name} wants ${action.words}, for example millrace admin ${name} ${action.example}`)
  if (words.length - 1 > wanted) throw new UsageError(`${name} does not know what to do with "${words[wanted + 1]}"`)
  await tell(settings.to, node, action.command(more[0] ?? '', settings.reason ?? ''), settings.json)
}

async function tell(to: string, node: string, command: Message, json: boolean): Promise<void> {
  const client = connect(to)
  try {
    const service = loadService('millrace/admin/v1/admin.proto', 'millrace.admin.v1.AdminService')
    const response = await callUnary(client, method(service, 'CommandAgent'), { node_id: node, command }, CALL_DEADLINE_MS)
    const { done, detail } = response.answer as { readonly done: boolean; readonly detail: string }
    if (json) process.stdout.write(`${JSON.stringify(response.answer)}\n`)
    if (!done) throw new CommandFailure(`${node}: ${detail}`)
    if (!json) process.stdout.write(`${node}: ${detail}\n`)
  } catch (error) {
    throw explainCall(error, to, 'start a control plane there, or choose another with --to')
  } finally {
    client.close()
  }
}
