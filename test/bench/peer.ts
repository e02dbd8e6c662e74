/** What the benchmark needs of a proxy, and how each is found, started on a free port and stopped. A peer that cannot be had is named with its reason. */
import { type AddressInfo, createServer, connect as dial } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { type Child, lastLines, startChild } from '../../cli/child.ts'
import { onPath } from '../../cli/nats-server.ts'

export type Running = {
  /** host:port */
  readonly address: string
  /** The process whose family is measured. */
  readonly pid: number
  /** Absent for one. */
  readonly workers?: number
  /** Requests sent a second time so far; absent where the proxy does not tell. */
  readonly retries?: () => Promise<number | undefined>
  stop(): Promise<unknown>
}

/** Files; `ca` signed `cert`. */
export type Tls = { readonly ca: string; readonly cert: string; readonly key: string }

export type StartOptions = {
  /** host:port of each backend; requests are spread over them. */
  readonly backends: readonly string[]
  /** Switches on the retries that the proxy documents for a backend that dies. */
  readonly failover: boolean
  /** Callers come over TLS; backends stay in clear text. */
  readonly tls: Tls | undefined
  /** For configuration files; removed afterwards. */
  readonly folder: string
}

export type Found =
  | { readonly state: 'found'; readonly version: string; start(options: StartOptions): Promise<Running> }
  | { readonly state: 'absent'; readonly reason: string }

export type Peer = {
  readonly name: string
  readonly about: string
  /** What a person installs to have it. */
  readonly needs: string
  /** False for one that never sends a request a second time: failover would only show that. */
  readonly canRetry: boolean
  /** Whether it takes callers over TLS. */
  readonly canTls: boolean
  /** Measured in so many rounds at most: one that is there for orientation needs no median. */
  readonly roundsMax?: number
  /** It takes part only in scenarios that name it. */
  readonly aside?: boolean
  find(say: (line: string) => void): Promise<Found>
}

const READY_WITHIN_MS = 10_000
const PORT_TRIES = 3

/** For a program that cannot take port 0. Somebody may take it first, which is why the start is tried again. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = dial(port, '127.0.0.1')
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

async function waitUntilAccepts(child: Child, port: number): Promise<void> {
  for (const deadline = performance.now() + READY_WITHIN_MS; !(await accepts(port)); await wait(20)) {
    if (child.hasExited()) throw new Error(`${child.name} ended at once; it said last:\n${lastLines(child.stderr)}`)
    if (performance.now() > deadline) throw new Error(`${child.name} does not listen after ${READY_WITHIN_MS} ms`)
  }
}

/** Starts a program whose port is written into its configuration, on a port that nobody has. */
export async function startOnFreePort(
  name: string,
  command: (port: number) => readonly [string, ...string[]],
): Promise<{ readonly child: Child; readonly address: string }> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const [program, ...argv] = command(port)
    const child = await startChild(name, program, argv)
    try {
      await waitUntilAccepts(child, port)
      return { child, address: `127.0.0.1:${port}` }
    } catch (error) {
      await child.stop()
      if (attempt === PORT_TRIES) throw error
    }
  }
}

/** Runs a program to its end and gives what it printed on both outputs. */
export async function runToEnd(program: string, argv: readonly string[]): Promise<{ readonly ok: boolean; readonly output: string }> {
  const child = await startChild(program, program, argv)
  const code = await child.exited
  return { ok: code === 0, output: [...child.stdout, ...child.stderr].join('\n') }
}

/** A Debian package's program: from PATH, else installed where this user may install. */
export async function findOrInstall(name: string, say: (line: string) => void): Promise<string | { readonly reason: string }> {
  const there = onPath(name)
  if (there !== undefined) return there
  const apt = process.getuid?.() === 0 ? onPath('apt-get') : undefined
  if (apt === undefined) return { reason: `not on PATH; install the package ${name}` }
  say(`${name}: apt-get install ${name}`)
  const installed = await runToEnd(apt, ['install', '-y', '--no-install-recommends', name])
  return onPath(name) ?? { reason: `apt-get install ${name} failed: ${installed.output.split('\n').at(-1)}` }
}

export const versionIn = (output: string): string => /\d+\.\d+(\.\d+)?/.exec(output)?.[0] ?? 'unknown'
