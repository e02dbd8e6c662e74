#!/usr/bin/env node
/** Finds the verb, loads only its file, and turns a failure into one clear line and an exit code. */
import { UsageError } from '../core/edge/settings.ts'
import { CommandFailure } from './command-failure.ts'

type Verb = { readonly about: string; readonly load: () => Promise<{ main(argv: readonly string[]): Promise<void> }> }

const VERBS: Readonly<Record<string, Verb>> = {
  up: { about: 'everything on this machine, and a stream at the end', load: () => import('./up.ts') },
  'data-plane': { about: 'a proxy', load: () => import('../data-plane/main.ts') },
  'control-plane': { about: 'the control plane', load: () => import('../control-plane/main.ts') },
  agent: { about: 'the agent of a GPU host', load: () => import('./agent.ts') },
  infer: { about: 'sends one request, or opens a stream and prints its tokens', load: () => import('./infer.ts') },
  bench: { about: 'shows whether a gateway buffers token streams', load: () => import('./bench.ts') },
  simulate: { about: 'compares routing policies on a simulated fleet', load: () => import('./simulate.ts') },
  admin: { about: 'nodes, weights, drain, undrain', load: () => import('./admin.ts') },
  'sim-server': { about: 'a simulated model server', load: () => import('../sim/model-server/main.ts') },
  'sim-nvidia-smi': { about: 'a simulated nvidia-smi that replays captures', load: () => import('../sim/nvidia-smi/main.ts') },
}

const usage = (): string =>
  `usage: millrace <verb> [flags]; millrace <verb> --help says more\n${Object.entries(VERBS)
    .map(([name, verb]) => `  ${name.padEnd(16)}${verb.about}`)
    .join('\n')}\n`

async function run(argv: readonly string[]): Promise<number | undefined> {
  const [name, ...rest] = argv
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(usage())
    return name === undefined ? 64 : 0
  }
  const verb = VERBS[name]
  if (verb === undefined) {
    process.stderr.write(`millrace: there is no verb "${name}"\n${usage()}`)
    return 64
  }
  try {
    await (await verb.load()).main(rest)
    return undefined
  } catch (error) {
    if (!(error instanceof UsageError || error instanceof CommandFailure)) throw error
    process.stderr.write(`millrace ${name}: ${error.message}\n`)
    return error instanceof UsageError ? 64 : 1
  }
}

const code = await run(process.argv.slice(2))
if (code !== undefined) process.exit(code)
