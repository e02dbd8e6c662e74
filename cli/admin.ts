/** `millrace admin`: what an operator asks of a control plane. Tables for people, --json for programs, --watch for both. */
import type { Client } from '@grpc/grpc-js'
import { z } from 'zod'
import { flag, hostPort, readSettings, UsageError } from '../core/edge/settings.ts'
import { type ChangeView, changeLine, type MemoryView, type NodeWhole, nodePage } from './admin-node.ts'
import { type NodeView, nodesTable, type WeightView, weightsTable } from './admin-tables.ts'
import { AGENT_ACTIONS, commandAgent, isAgentAction } from './agent-command.ts'
import { CommandFailure } from './command-failure.ts'
import { callUnary, connect, explainCall, loadService, type Message, method } from './grpc-call.ts'

const ACTIONS = ['nodes', 'node', 'watch', 'weights', 'drain', 'undrain'] as const
type Service = ReturnType<typeof loadService>
type Action = (typeof ACTIONS)[number]

const CALL_DEADLINE_MS = 10_000
/** Clears a terminal, so that a watched table stays in its place. */
const CLEAR = '\x1b[2J\x1b[H'

const EXAMPLES = [
  'millrace admin drain gpu-a --reason "new driver"',
  'millrace admin node gpu-a                    why it is as it is',
  'millrace admin watch --json                  every change of state, for a program',
  'millrace admin weights --watch',
  'millrace admin probe gpu-a',
  'millrace admin clear-fault gpu-a 00000000:18:00.0',
  'millrace admin explain --model llm',
  'millrace admin nats-config --out bus --nodes gpu-a,gpu-b',
]

const readAdminSettings = (argv: readonly string[]) =>
  readSettings(
    {
      name: 'admin <nodes|node NODE|watch [NODE]|weights|drain NODE|undrain NODE>',
      about:
        'Asks a control plane, or tells it an intent.\n\n  nodes         every node with its endpoints and GPUs\n' +
        '  node NODE     one node: endpoints, weights, GPUs, warnings, and why it is as it is\n' +
        '  watch [NODE]  every change of state with its cause, as it happens; of one node those remembered come first\n' +
        '  weights       the weights that proxies route by, with their factors\n' +
        '  drain NODE    no new request goes to the node, running streams finish; lasts until undrain\n  undrain NODE  lifts it\n' +
        '  probe NODE, report NODE, local-drain NODE, local-undrain NODE, clear-fault NODE GPU   ask its agent to do that now\n' +
        '  explain       why requests go where they go; explain --help says more\n' +
        '  nats-config   writes keys and permissions for the bus; nats-config --help says more',
      example: EXAMPLES.join('\n  '),
      settings: {
        to: { value: 'host:port', about: 'the control plane', schema: hostPort, fallback: '127.0.0.1:7401' },
        reason: { value: 'text', about: 'of a drain, shown to other operators', schema: z.string().max(500) },
        json: { about: 'JSON, one document a line', schema: flag, fallback: false },
        watch: { about: 'nodes, weights: goes on with every change', schema: flag, fallback: false },
      },
    },
    argv,
  )

type AdminSettings = ReturnType<typeof readAdminSettings>

export async function main(argv: readonly string[]): Promise<void> {
  // Actions with flags of their own.
  if (argv[0] === 'nats-config') return (await import('./nats-config.ts')).main(argv.slice(1))
  if (argv[0] === 'explain') return (await import('./admin-explain.ts')).main(argv.slice(1))
  const { words, flags } = splitWords(argv)
  if (isAgentAction(words[0])) return commandAgent(words, flags)
  const settings = readAdminSettings(flags)
  const { action, node } = parseAction(words)
  const client = connect(settings.to)
  try {
    await act(client, action, node, settings)
  } catch (error) {
    throw explainCall(
      error,
      settings.to,
      'start a control plane there (millrace up, or millrace control-plane), or choose another with --to',
    )
  } finally {
    client.close()
  }
}

/** Words are what is neither a flag nor a flag's value. */
function splitWords(argv: readonly string[]): { words: string[]; flags: string[] } {
  const words: string[] = []
  const flags: string[] = []
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? ''
    if (!word.startsWith('-')) words.push(word)
    else {
      flags.push(word)
      const value = argv[at + 1]
      if (['--to', '--reason', '--config'].includes(word) && value !== undefined) {
        flags.push(value)
        at++
      }
    }
  }
  return { words, flags }
}

function parseAction(words: readonly string[]): { action: Action; node: string } {
  const [name, node, ...more] = words
  const action = ACTIONS.find((one) => one === name)
  if (action === undefined)
    throw new UsageError(
      `${name === undefined ? 'wants' : `no action "${name}"; wants`} one of ${[...ACTIONS, ...AGENT_ACTIONS, 'explain', 'nats-config'].join(', ')}`,
    )
  const wantsNode = action === 'drain' || action === 'undrain' || action === 'node'
  if (wantsNode && node === undefined) throw new UsageError(`${action} wants a node, for example millrace admin ${action} gpu-a`)
  const stranger = wantsNode || action === 'watch' ? more[0] : node
  if (stranger !== undefined) throw new UsageError(`${action} does not know what to do with "${stranger}"`)
  return { action, node: node ?? '' }
}

async function act(client: Client, action: Action, node: string, { json, watch, reason }: AdminSettings): Promise<void> {
  const service = loadService('millrace/admin/v1/admin.proto', 'millrace.admin.v1.AdminService')
  const show = (message: Message, text: string): void => void process.stdout.write(json ? `${JSON.stringify(message)}\n` : text)
  const call = (name: string, request: Message): Promise<Message> => callUnary(client, method(service, name), request, CALL_DEADLINE_MS)
  if (action === 'drain') {
    const response = await call('DrainNode', { node_id: node, reason: reason ?? '' })
    return show(
      response,
      `${node} drains: no new request goes to it, running streams finish. It stays so until: millrace admin undrain ${node}\n`,
    )
  }
  if (action === 'undrain') return show(await call('UndrainNode', { node_id: node }), `${node} may serve again\n`)
  if (action === 'node') {
    const response = await call('GetNode', { node_id: node })
    return show(
      response,
      nodePage(response.node as NodeWhole, response.weights as readonly WeightView[], response.memory as MemoryView | null),
    )
  }
  if (action === 'watch') {
    const lines = ({ changes }: Message): string =>
      ((changes ?? []) as readonly ChangeView[]).map((change) => `${changeLine(change)}\n`).join('')
    return follow(client, service, { name: 'WatchChanges', request: { node_id: node }, watch: true }, (message) =>
      show(message, lines(message)),
    )
  }
  if (action === 'nodes' && !watch) {
    const response = await call('ListNodes', {})
    return show(response, nodesTable(response.nodes as readonly NodeView[]))
  }
  const [name, render] = action === 'nodes' ? ['WatchNodes', watchedNodes()] : ['WatchWeights', watchedWeights()]
  await follow(client, service, { name, request: {}, watch }, (message) =>
    show(message, `${watch && process.stdout.isTTY ? CLEAR : ''}${render(message)}`),
  )
}

/** Holds the picture that a watch's messages build up, and renders it whole. */
function picture<View>(idOf: (view: View) => string, render: (views: readonly View[]) => string): (message: Message) => string {
  const views = new Map<string, View>()
  return ({ changed, removed }) => {
    for (const view of (changed ?? []) as readonly View[]) views.set(idOf(view), view)
    for (const id of (removed ?? []) as readonly string[]) views.delete(id)
    return render([...views.values()])
  }
}

const watchedNodes = () => picture<NodeView>((node) => node.node_id, nodesTable)
const watchedWeights = () => picture<WeightView>((weight) => weight.endpoint_id, weightsTable)

/** The first message is the whole picture; without `watch` it is all that was asked for. */
function follow(
  client: Client,
  service: Service,
  { name, request, watch }: { readonly name: string; readonly request: Message; readonly watch: boolean },
  onMessage: (message: Message) => void,
): Promise<void> {
  const what = method(service, name)
  return new Promise((resolve, reject) => {
    const options = watch ? {} : { deadline: Date.now() + CALL_DEADLINE_MS }
    const stream = client.makeServerStreamRequest(what.path, what.requestSerialize, what.responseDeserialize, request, options)
    stream.on('data', (message: Message) => {
      onMessage(message)
      if (watch) return
      resolve()
      stream.cancel()
    })
    stream.on('error', reject)
    stream.on('end', () => reject(new CommandFailure('the control plane ended the watch')))
  })
}
