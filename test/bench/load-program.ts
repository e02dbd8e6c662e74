/** The Go program at both ends (load/): built once per version of its sources into the user's cache, and started as backend or as caller. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { type Child, lastLines, startChild } from '../../cli/child.ts'
import { cacheFolder, onPath } from '../../cli/nats-server.ts'
import { UsageError } from '../../core/edge/settings.ts'
import type { Tls } from './peer.ts'

const SOURCES = fileURLToPath(new URL('load/', import.meta.url))
const BACKEND_READY_WITHIN_MS = 10_000

export async function buildLoadProgram(say: (line: string) => void): Promise<string> {
  const hash = createHash('sha256')
  for (const name of readdirSync(SOURCES).sort()) hash.update(name).update(readFileSync(join(SOURCES, name)))
  const folder = join(cacheFolder(), 'bench')
  const program = join(folder, `load-${hash.digest('hex').slice(0, 12)}`)
  if (existsSync(program)) return program
  const go = onPath('go') ?? (existsSync('/usr/local/go/bin/go') ? '/usr/local/go/bin/go' : undefined)
  if (go === undefined)
    throw new UsageError('the load generator needs Go 1.21 or newer on PATH; install it from https://go.dev/dl and try again')
  say(`load generator: go build (once, about a minute on a first run)`)
  mkdirSync(folder, { recursive: true })
  const aside = `${program}.${process.pid}`
  const build = await startChild('go build', go, ['-C', SOURCES, 'build', '-o', aside, '.'])
  if ((await build.exited) !== 0) throw new UsageError(`go build of the load generator failed:\n${lastLines(build.stderr)}`)
  renameSync(aside, program)
  return program
}

const certificateFiles = z.object({ ca: z.string(), cert: z.string(), key: z.string() })

/** An authority and a certificate by it for this run, in the folder. */
export async function makeCertificate(program: string, folder: string): Promise<Tls> {
  const child = await startChild('certificate', program, ['certificate', '-dir', folder])
  return certificateFiles.parse(JSON.parse(await child.waitForLine(/^\{"ca"/, BACKEND_READY_WITHIN_MS)))
}

const listening = z.object({ addresses: z.array(z.string()).min(1) })

export type Backend = { readonly child: Child; readonly addresses: readonly string[]; readonly name: string }

export async function startBackend(program: string, name: string, ports: number, flags: readonly string[]): Promise<Backend> {
  const child = await startChild(`backend ${name}`, program, ['backend', '-name', name, '-ports', String(ports), ...flags])
  const line = await child.waitForLine(/^\{"addresses"/, BACKEND_READY_WITHIN_MS)
  return { child, name, addresses: listening.parse(JSON.parse(line)).addresses }
}

const resultShape = z.object({
  requests: z.number(),
  messages: z.number(),
  errors: z.number(),
  firstError: z.string().optional(),
  seconds: z.number(),
  p50Micros: z.number().optional(),
  p99Micros: z.number().optional(),
  p999Micros: z.number().optional(),
  maxMicros: z.number().optional(),
  lost: z.number().optional(),
  deadUntilMillis: z.number().optional(),
})
export type LoadResult = z.infer<typeof resultShape>

/** The caller's result once it has ended; it ends by itself, well after its time only when calls hang. */
export async function resultOf(caller: Child, patienceMs: number): Promise<LoadResult> {
  const line = await caller.waitForLine(/^\{"requests"/, patienceMs)
  await caller.exited
  return resultShape.parse(JSON.parse(line))
}
