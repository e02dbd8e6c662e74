/** Millrace as an operator runs it without a control plane: one primary and its workers, endpoints from a static file, every feature on. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { type Part, startPart } from '../../../cli/child.ts'
import type { Found, Peer, StartOptions } from '../peer.ts'

const meshOf = (backends: readonly string[]): object => ({
  models: [{ name: 'bench', policy: 'LEAST_WAIT' }],
  routes: [],
  endpoints: backends.map((address, i) => ({
    ...{ id: `bench-${i}/server`, node: `bench-${i}`, zone: 'bench', address, protocol: 'KSERVE_GRPC', models: ['*'] },
    ...{ weight: 100, state: 'READY', capacity: 0 },
  })),
})

/** The sum over the label sets of the proxy's own retry counter; absent while the page has none. */
export function retriesIn(page: string): number | undefined {
  const counts = page.split('\n').flatMap((line) => /^millrace_\w*retries_total(?:\{.*\})? (\S+)/.exec(line)?.[1] ?? [])
  return counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + Number(count), 0)
}

export type MillraceOptions = Pick<StartOptions, 'backends' | 'folder' | 'tls'> & {
  readonly workers: number
  readonly env?: Readonly<Record<string, string>>
}

export function startMillrace({ backends, folder, tls, workers, env = {} }: MillraceOptions): Promise<Part> {
  const file = join(folder, 'mesh.json')
  writeFileSync(file, JSON.stringify(meshOf(backends), null, 2))
  const argv = ['--listen', '127.0.0.1:0', '--metrics-listen', '127.0.0.1:0', '--static', file, '--workers', String(workers)]
  const secure = tls === undefined ? [] : ['--tls-cert', tls.cert, '--tls-key', tls.key]
  return startPart('millrace', 'data-plane', [...argv, ...secure, '--log-level', 'error'], env)
}

const found = (workers: number): Found => ({
  state: 'found',
  version: z.object({ version: z.string() }).parse(JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')))
    .version,
  async start(options) {
    const part = await startMillrace({ ...options, workers })
    const retries = async (): Promise<number | undefined> => retriesIn(await (await fetch(`http://${part.fields.metrics}/metrics`)).text())
    return { address: part.fields.listen ?? '', pid: part.pid, workers, retries, stop: () => part.stop() }
  },
})

export const millrace: Peer = {
  name: 'millrace',
  about: 'one primary and one worker, static file, LEAST_WAIT',
  needs: 'nothing but this repository',
  canRetry: true,
  canTls: true,
  find: async () => found(1),
}

export const millraceTwo: Peer = {
  ...millrace,
  name: 'millrace-2',
  about: 'the same with two workers, in `workers` only',
  aside: true,
  find: async () => found(2),
}
