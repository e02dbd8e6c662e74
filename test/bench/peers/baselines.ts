/** What the same work costs in Node without this project: its gRPC library, its HTTP/2 module, and bytes between sockets. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { startChild } from '../../../cli/child.ts'
import { parseReadyLine } from '../../../core/edge/ready-line.ts'
import type { Peer, Running } from '../peer.ts'

const READY_WITHIN_MS = 10_000

const programs = new URL('../baselines/', import.meta.url)

async function startBaseline(name: string, backends: readonly string[]): Promise<Running> {
  const child = await startChild(name, process.execPath, [fileURLToPath(new URL(`${name}.ts`, programs)), backends.join(',')])
  const ready = parseReadyLine(await child.waitForLine(/^ready /, READY_WITHIN_MS))
  return { address: ready?.fields.listen ?? '', pid: child.pid, stop: () => child.stop() }
}

const baseline = (name: string, about: string, version: () => string, roundsMax?: number): Peer => ({
  name,
  about,
  needs: 'nothing but this repository',
  canRetry: false,
  canTls: false,
  ...(roundsMax === undefined ? {} : { roundsMax }),
  find: async () => ({ state: 'found', version: version(), start: ({ backends }) => startBaseline(name, backends) }),
})

function grpcJsVersion(): string {
  const file = new URL('../../../node_modules/@grpc/grpc-js/package.json', import.meta.url)
  return z.object({ version: z.string() }).parse(JSON.parse(readFileSync(file, 'utf8'))).version
}

const nodeVersion = (): string => process.versions.node

export const tcpSplice = baseline('tcp-splice', 'bytes between sockets in Node, nothing understood: the floor', nodeVersion)
export const nodeHttp2 = baseline('node-http2', 'node:http2 on both sides, streams passed on', nodeVersion, 1)
export const grpcJs = baseline('grpc-js', '@grpc/grpc-js on both sides, messages passed on as bytes', grpcJsVersion, 1)
