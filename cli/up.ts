/**
 * `millrace up`: the whole mesh on this machine. Starts the parts, waits until a request goes all the way, shows a token stream, and stays until it is
 * told to stop. What it started it ends, in reverse order, and its temporary folder with them.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { flag, readSettings, UsageError, wholeNumber } from '../core/edge/settings.ts'
import { type NodeView, nodesTable } from './admin-tables.ts'
import { type Child, lastLines, mainFile, type Part, startPart } from './child.ts'
import { CommandFailure } from './command-failure.ts'
import { Crew } from './crew.ts'
import { callUnary, connect, loadService, method } from './grpc-call.ts'
import { findNatsServer, startNatsServer } from './nats-server.ts'
import {
  agentArgv,
  controlPlaneArgv,
  type NodePlan,
  planNodes,
  proxyArgv,
  SIM_MODEL,
  simServerArgv,
  type TritonAddress,
  tritonAddress,
} from './up-plan.ts'
import { pickTextModel, showStream, waitUntilServing } from './up-stream.ts'

const PROXY_LISTEN = '127.0.0.1:7400'
const CONTROL_PLANE_LISTEN = '127.0.0.1:7401'
const NODES_MAX = 64
const NATS = 'nats-server'
const ADMIN_DEADLINE_MS = 3_000
/** The same Ctrl-C can arrive twice: from the terminal, and forwarded by npm. */
const SECOND_SIGNAL_AFTER_MS = 1_000

const readUpSettings = (argv: readonly string[]) =>
  readSettings(
    {
      name: 'up',
      about:
        'Everything on this machine: NATS, a control plane, a proxy and simulated GPU nodes, or agents beside real Tritons; then a token stream.',
      example: 'millrace up --once',
      settings: {
        once: { about: 'stops after the stream and exits', schema: flag, fallback: false },
        nodes: { value: 'n', about: 'simulated nodes (default: 3, and none with --triton)', schema: wholeNumber(0, NODES_MAX) },
        triton: {
          value: 'address',
          about: 'a real Triton, HOST:GRPC[:HTTP[:METRICS]]; may be given again',
          schema: z.preprocess((given) => [given].flat(), z.array(tritonAddress)),
          fallback: [] as TritonAddress[],
        },
        model: { value: 'name', about: 'of the stream at the end (default: one that takes text)', schema: z.string().min(1) },
        prompt: { value: 'text', about: 'of the stream at the end', schema: z.string(), fallback: 'What is a mill race?' },
      },
    },
    argv,
  )

const say = (line: string): void => void process.stdout.write(`${line}\n`)

export async function main(argv: readonly string[]): Promise<void> {
  const settings = readUpSettings(argv)
  const nodes = planNodes(settings.nodes, settings.triton)
  if (nodes.length === 0) throw new UsageError('--nodes 0 leaves nothing that serves; give --triton HOST:PORT, or at least one node')
  // A setting that was meant for `up` is not meant for its parts.
  for (const name of Object.keys(process.env)) if (name.startsWith('MILLRACE_') && name !== 'MILLRACE_CACHE') delete process.env[name]
  const { promise: told, resolve: stop, reject: fail } = Promise.withResolvers<void>()
  told.catch(() => {})
  const crew = new Crew(fail)
  obeySignals(stop, crew)
  const folder = mkdtempSync(join(tmpdir(), 'millrace-up-'))
  let code = 0
  try {
    const showing = show(crew, nodes, folder, settings)
    await Promise.race([told, settings.once ? showing : showing.then(() => told)])
  } catch (error) {
    if (!(error instanceof CommandFailure || error instanceof UsageError)) throw error
    process.stderr.write(`millrace up: ${error.message}\n`)
    code = 1
  } finally {
    await crew.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  process.exit(code)
}

function obeySignals(stop: () => void, crew: Crew): void {
  let firstAt: number | undefined
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (firstAt === undefined) say('stopping')
      else if (performance.now() - firstAt > SECOND_SIGNAL_AFTER_MS) {
        crew.kill()
        process.exit(130)
      }
      firstAt ??= performance.now()
      stop()
    })
}

async function show(crew: Crew, nodes: readonly NodePlan[], folder: string, settings: ReturnType<typeof readUpSettings>): Promise<void> {
  const started = performance.now()
  const natsProgram = await findNatsServer(say)
  const nats = await timed(NATS, async () => {
    const server = await startNatsServer(natsProgram, join(folder, 'nats'))
    await crew.join(Promise.resolve(server.child))
    return { address: `${server.host}:${server.port}` }
  })
  const controlPlane = timed('control-plane', async () => {
    const part = await onPreferredPort(CONTROL_PLANE_LISTEN, (listen) =>
      crew.join(startPart('control-plane', 'control-plane', controlPlaneArgv(listen, nats.address))),
    )
    return { address: part.fields.listen ?? '' }
  })
  const proxy = controlPlane.then(({ address }) =>
    timed('proxy', async () => {
      const part = await onPreferredPort(PROXY_LISTEN, (listen) => crew.join(startPart('proxy', 'data-plane', proxyArgv(listen, address))))
      return { address: part.fields.listen ?? '' }
    }),
  )
  const nvidiaSmi = writeNvidiaSmi(folder)
  const fleet = Promise.all(nodes.map((node, at) => startNode(crew, node, at, nats.address, nvidiaSmi)))
  const [{ address: admin }, { address: door }] = await Promise.all([controlPlane, proxy, fleet])

  const client = connect(door)
  try {
    const simulated = nodes.some((node) => node.kind === 'simulated')
    const model = settings.model ?? (simulated ? SIM_MODEL : await pickTextModel(client, () => whatIsMissing(crew, admin)))
    await waitUntilServing(client, model, settings.prompt, () => whatIsMissing(crew, admin))
    say(`the mesh serves ${model}, ${Math.round(performance.now() - started)} ms after the start\n`)
    const simulatedNodes = new Set(nodes.filter((node) => node.kind === 'simulated').map((node) => node.name))
    await showStream(client, model, settings.prompt, (endpoint) => simulatedNodes.has(endpoint.split('/')[0] ?? ''))
    if (!settings.once) explainUse(door, admin, model, nodes)
  } finally {
    client.close()
  }
}

/** Prints a line once the part is ready, with the time that it took. */
async function timed<Ready extends { readonly address: string; readonly note?: string }>(
  name: string,
  start: () => Promise<Ready>,
): Promise<Ready> {
  const began = performance.now()
  const ready = await start()
  const took = `${Math.round(performance.now() - began)} ms`
  say(`  ${name.padEnd(24)}${ready.address.padEnd(24)}${took.padStart(8)}${ready.note === undefined ? '' : `  ${ready.note}`}`)
  return ready
}

/** The usual port, or a free one where another process has that. */
async function onPreferredPort(listen: string, start: (listen: string) => Promise<Part>): Promise<Part> {
  try {
    return await start(listen)
  } catch (error) {
    if (!(error instanceof Error && error.message.includes('in use'))) throw error
    say(`  ${listen} is in use; taking a free port`)
    return await start('127.0.0.1:0')
  }
}

/** An agent wants one program to run; this one is the verb sim-nvidia-smi on the Node that runs us. */
function writeNvidiaSmi(folder: string): string {
  const path = join(folder, 'nvidia-smi')
  const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`
  writeFileSync(path, `#!/bin/sh\nexec ${quote(process.execPath)} ${quote(mainFile)} sim-nvidia-smi "$@"\n`, { mode: 0o755 })
  return path
}

async function startNode(crew: Crew, node: NodePlan, at: number, nats: string, nvidiaSmi: string): Promise<void> {
  if (node.kind === 'triton') {
    await timed(`${node.name} agent`, async () => {
      await crew.join(startPart(`${node.name} agent`, 'agent', agentArgv(node.name, nats, node.address, undefined)))
      return { address: node.address.grpc, note: 'beside a real server' }
    })
    return
  }
  const server = await timed(`${node.name} model server`, async () => {
    const part = await crew.join(startPart(`${node.name} model server`, 'sim-server', simServerArgv(at + 1)))
    return { address: part.fields.listen ?? '', http: part.fields.http ?? '', note: '(simulated)' }
  })
  const address = { grpc: server.address, http: server.http, metrics: `http://${server.http}/metrics` }
  const argv = agentArgv(node.name, nats, address, { nvidiaSmi })
  await timed(`${node.name} agent`, async () => {
    const part = await crew.join(startPart(`${node.name} agent`, 'agent', argv, { MILLRACE_SIM_CAPTURE: node.capture }))
    return { address: part.fields.metrics ?? '', note: `GPUs of ${node.capture} (simulated)` }
  })
}

/** For whoever waits in vain: what the control plane knows, and what the parts said last. NATS says much, and nothing of this. */
async function whatIsMissing(crew: Crew, admin: string): Promise<string> {
  const client = connect(admin)
  const known = await listNodes(client).catch((error: Error) => `the control plane does not answer: ${error.message}\n`)
  client.close()
  const said = crew.members
    .filter((child: Child) => child.name !== NATS && child.stderr.length > 0)
    .map((child) => `${child.name} said last:\n${lastLines(child.stderr, 4)}`)
  return [`what the control plane knows:\n${known}`, ...said].join('\n')
}

async function listNodes(client: ReturnType<typeof connect>): Promise<string> {
  const service = loadService('millrace/admin/v1/admin.proto', 'millrace.admin.v1.AdminService')
  const { nodes } = await callUnary(client, method(service, 'ListNodes'), {}, ADMIN_DEADLINE_MS)
  return nodesTable(nodes as readonly NodeView[])
}

function explainUse(door: string, admin: string, model: string, nodes: readonly NodePlan[]): void {
  const here = mainFile.endsWith('.ts') ? './millrace' : 'millrace'
  say(
    [
      '',
      `gRPC inference at ${door}, admin at ${admin}. In another terminal:`,
      `  ${here} infer --to ${door} --model ${model} --prompt "Tell me more" --stream`,
      `  ${here} admin --to ${admin} nodes`,
      `  ${here} admin --to ${admin} weights --watch`,
      `  ${here} admin --to ${admin} drain ${nodes[0]?.name}`,
      'Ctrl-C stops all of it.',
    ].join('\n'),
  )
}
