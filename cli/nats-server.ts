/**
 * Decides which nats-server runs: the one on PATH, else the one in the user's cache, else one built by Go into that cache, else apt's.
 * A second run finds the first one's at once.
 */
import { spawn } from 'node:child_process'
import { accessSync, constants, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import { UsageError } from '../core/edge/settings.ts'
import { type Child, startChild } from './child.ts'

const GO_PACKAGE = 'github.com/nats-io/nats-server/v2@v2.15.2'
const START_DEADLINE_MS = 15_000
/** A port that was just freed by a killed server may be refused for a moment. */
const SAME_PORT_TRIES = 20

export const cacheFolder = (environment: NodeJS.ProcessEnv = process.env): string =>
  environment.MILLRACE_CACHE ?? join(environment.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'millrace')

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

export const onPath = (name: string, environment: NodeJS.ProcessEnv = process.env): string | undefined =>
  (environment.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find(isProgram)

/** The path of a nats-server that runs; `say` is told of the long steps. */
export async function findNatsServer(say: (line: string) => void, environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  const cached = join(cacheFolder(environment), 'bin', 'nats-server')
  const found = onPath('nats-server', environment) ?? (isProgram(cached) ? cached : undefined)
  if (found !== undefined) return found
  const go = onPath('go', environment) ?? ['/usr/local/go/bin/go'].find(isProgram)
  if (go !== undefined && (await buildByGo(go, cached, say, environment))) return cached
  const apt = process.getuid?.() === 0 ? onPath('apt-get', environment) : undefined
  if (apt !== undefined) {
    say('nats-server: apt-get install nats-server')
    if (await succeeds(apt, ['install', '-y', 'nats-server'], { ...environment, DEBIAN_FRONTEND: 'noninteractive' })) {
      const installed = onPath('nats-server', environment) ?? ['/usr/sbin/nats-server'].find(isProgram)
      if (installed !== undefined) return installed
    }
  }
  throw new UsageError(
    'no nats-server on PATH, and it could not be installed here; install it (https://nats.io/download, or the package nats-server) and try again',
  )
}

async function buildByGo(go: string, target: string, say: (line: string) => void, environment: NodeJS.ProcessEnv): Promise<boolean> {
  const folder = join(cacheFolder(environment), 'bin')
  // Built aside and renamed: two first runs at once never see half a program.
  const aside = join(folder, `.build-${process.pid}`)
  mkdirSync(aside, { recursive: true })
  const started = performance.now()
  const elapsed = (): string => `${Math.round((performance.now() - started) / 1000)} s`
  say(`nats-server: building ${GO_PACKAGE} into ${folder} (once, about a minute)`)
  const progress = setInterval(() => say(`nats-server: still building, ${elapsed()}`), 10_000)
  try {
    if (!(await succeeds(go, ['install', GO_PACKAGE], { ...environment, GOBIN: aside }))) return false
    renameSync(join(aside, 'nats-server'), target)
    say(`nats-server: built in ${elapsed()}`)
    return true
  } finally {
    clearInterval(progress)
    rmSync(aside, { recursive: true, force: true })
  }
}

const succeeds = (command: string, argv: readonly string[], env: NodeJS.ProcessEnv): Promise<boolean> =>
  new Promise((resolve) => {
    const child = spawn(command, [...argv], { env, stdio: ['ignore', 2, 2] })
    child.once('error', () => resolve(false))
    child.once('close', (code) => resolve(code === 0))
  })

export type NatsServer = { readonly host: string; readonly port: number; readonly child: Child }

/**
 * A nats-server with JetStream on loopback that answers; a `config` file says itself where it stores. Without a port the server takes a free one, so
 * nothing can take it in between.
 */
export async function startNatsServer(program: string, storeDir: string, port?: number, config?: string): Promise<NatsServer> {
  const argv = ['-a', '127.0.0.1', '-p', String(port ?? -1), ...(config === undefined ? ['-js', '-sd', storeDir] : ['-c', config])]
  for (let attempt = 1; ; attempt++) {
    const child = await startChild('nats-server', program, argv)
    try {
      await child.waitForLine(/Server is ready/, START_DEADLINE_MS)
      const line = await child.waitForLine(/Listening for client connections on /, START_DEADLINE_MS)
      return { host: '127.0.0.1', port: Number(/:(\d+)\s*$/.exec(line)?.[1]), child }
    } catch (error) {
      child.kill()
      await child.exited
      const clash = child.stderr.some((line) => line.includes('address already in use'))
      if (port === undefined || !clash || attempt === SAME_PORT_TRIES) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}
