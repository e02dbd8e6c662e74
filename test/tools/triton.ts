/**
 * A real Triton Inference Server for one test, on loopback and free ports. Setting it up on a machine's first run takes about a minute. A Triton that
 * cannot be set up or does not start is a failure with the reason in its message, never a skipped test.
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Child, lastLines, startChild } from '../../cli/child.ts'
import { cacheFolder } from '../../cli/nats-server.ts'
import { freePorts } from './free-ports.ts'

export type TestTriton = {
  /** host:port of its gRPC service, as the proxy and tritonclient take it. */
  readonly grpc: string
  /** host:port; health is below /v2/health/. */
  readonly http: string
  /** The URL of its metrics page. */
  readonly metrics: string
  stop(): Promise<void>
  /** SIGKILL, as a crash. */
  kill(): void
  /** To the server and the processes of its models: SIGSTOP makes it hang with its ports open. */
  signal(name: 'SIGSTOP' | 'SIGCONT'): void
}

export const toolsFolder = fileURLToPath(new URL('.', import.meta.url))
export const tritonFolder = fileURLToPath(new URL('../triton/', import.meta.url))

const START_DEADLINE_MS = 120_000
const POLL_MS = 100
/** Triton takes no port 0: a port found free may be taken by another process before Triton has it. */
const START_TRIES = 3
const LOG_LINES_SHOWN = 25

let setUp: Promise<void> | undefined

/** Once a process; the script itself is done in a moment when everything is there. */
export function setUpTriton(): Promise<void> {
  setUp ??= runSetup()
  return setUp
}

async function runSetup(): Promise<void> {
  const child = spawn('sh', [join(toolsFolder, 'setup-triton.sh')], {
    env: { ...process.env, MILLRACE_CACHE: cacheFolder() },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
    process.stderr.write(text)
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`the real Triton could not be set up:\n${lastLines(said.trimEnd().split('\n'))}`)
}

/** `more`: arguments of tritonserver. */
export async function startTriton(...more: readonly string[]): Promise<TestTriton> {
  await setUpTriton()
  for (let attempt = 1; ; attempt++) {
    const [http, grpc, metrics] = await freePorts(3)
    const ports = [...[http, grpc, metrics].map(String), ...more]
    const child = await startChild('triton', join(tritonFolder, 'start.sh'), ports, { env: { MILLRACE_CACHE: cacheFolder() } })
    const problem = await whenReady(child, `http://127.0.0.1:${http}/v2/health/ready`)
    if (problem === undefined)
      return {
        grpc: `127.0.0.1:${grpc}`,
        http: `127.0.0.1:${http}`,
        metrics: `http://127.0.0.1:${metrics}/metrics`,
        stop: async () => {
          await child.stop()
        },
        kill: () => killAll(child),
        signal: (name) => void process.kill(-child.pid, name),
      }
    killAll(child)
    await child.exited
    const portTaken = child.stderr.some((line) => /address already in use|failed to (?:bind|listen)|Socket '.*' already in use/i.test(line))
    if (!portTaken || attempt === START_TRIES)
      throw new Error(`Triton ${problem}; it said last:\n${lastLines(child.stderr, LOG_LINES_SHOWN)}`)
  }
}

/** Undefined once it serves. */
async function whenReady(child: Child, url: string): Promise<string | undefined> {
  const until = performance.now() + START_DEADLINE_MS
  while (performance.now() < until) {
    if (child.hasExited()) return `ended with ${(await child.exited) ?? 'a signal'} before it was ready`
    const ready = await fetch(url, { signal: AbortSignal.timeout(1_000) }).then(
      (response) => response.ok,
      () => false,
    )
    if (ready) return undefined
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  return `was not ready within ${START_DEADLINE_MS / 1000} s`
}

/** The python backend runs a process for each model, all in the server's process group. */
function killAll(child: Child): void {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // The group is gone already.
  }
}
