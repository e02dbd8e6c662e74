/** A real nats-server with JetStream for one test, on loopback and a free port. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findNatsServer, startNatsServer } from '../../cli/nats-server.ts'

export type TestNats = {
  /** host:port, as the parts' --nats takes it and as nats clients do. */
  readonly url: string
  readonly host: string
  readonly port: number
  readonly storeDir: string
  /** Ends it in order; a store that the test did not bring is removed. */
  stop(): Promise<void>
  /** SIGKILL; the store stays, for a restart with the same `storeDir` and `port`. */
  kill(): void
  /** It reads its configuration anew. */
  reload(): void
  waitForLine(pattern: RegExp, deadlineMs: number): Promise<string>
}

/** `config` is a configuration file. */
export type NatsOptions = { readonly storeDir?: string; readonly port?: number; readonly config?: string }

/** It is no program of ours and does not notice when whoever started it is killed: a shell waits for that, on a pipe that closes then. */
function endWithUs(pid: number): ChildProcess {
  const guard = spawn('sh', ['-c', `read _; kill -9 ${pid}`], { stdio: ['pipe', 'ignore', 'ignore'], detached: true })
  guard.on('error', () => {})
  guard.unref()
  return guard
}

export async function startNats(options: NatsOptions = {}): Promise<TestNats> {
  const program = await findNatsServer((line) => process.stderr.write(`${line}\n`))
  const storeDir = options.storeDir ?? mkdtempSync(join(tmpdir(), 'millrace-nats-'))
  const { host, port, child } = await startNatsServer(program, storeDir, options.port, options.config)
  const guard = endWithUs(child.pid)
  return {
    url: `${host}:${port}`,
    host,
    port,
    storeDir,
    async stop() {
      await child.stop()
      guard.kill('SIGKILL')
      if (options.storeDir === undefined) rmSync(storeDir, { recursive: true, force: true })
    },
    kill() {
      child.kill()
      guard.kill('SIGKILL')
    },
    waitForLine: (pattern, deadlineMs) => child.waitForLine(pattern, deadlineMs),
    reload: () => void process.kill(child.pid, 'SIGHUP'),
  }
}
