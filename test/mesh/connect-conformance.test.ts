/**
 * The Connect project's conformance suite for gRPC over HTTP/2, through the proxy: its reference client and grpc-go's client, its reference
 * server and grpc-go's, identity and gzip, in clear text and with the proxy's TLS and mTLS before the server. What a server does wrong by itself is listed with the reason; a case of the list that
 * passes is a failure too, so that the proxy can neither break a case nor mend one unseen.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { lastLines, startChild } from '../../cli/child.ts'
import { goTool } from '../tools/go-tool.ts'

const MODULE = 'connectrpc.com/conformance'
const VERSION = 'v1.0.5'
const RUN_MAX_MS = 240_000
const FEATURES = {
  versions: ['HTTP_VERSION_2'],
  protocols: ['PROTOCOL_GRPC'],
  codecs: ['CODEC_PROTO'],
  compressions: ['COMPRESSION_IDENTITY', 'COMPRESSION_GZIP'],
  supportsTls: true,
  supportsTlsClientCerts: true,
}
/** In this version of the suite: fewer would mean that it did not play what it should. */
const CASES = 566

/**
 * gRPC's status codes document wants UNIMPLEMENTED where a method takes one message and gets none or two. grpc-go's server says something
 * else, or takes the first; a proxy that routes by path does not know how many messages a method takes.
 */
const GRPC_GO_COUNTS_NO_MESSAGES = [
  '**/unary/multiple-requests',
  '**/unary/no-request',
  '**/server-stream/multiple-requests',
  '**/server-stream/no-request',
]

const SERVERS = [
  { server: 'referenceserver', knownFailing: [] },
  { server: 'grpcserver', knownFailing: GRPC_GO_COUNTS_NO_MESSAGES },
]

const behindProxy = fileURLToPath(new URL('../tools/conformance-server.ts', import.meta.url))
const programOf = (name: string): Promise<string> => goTool(name, `${MODULE}/cmd/${name}@${VERSION}`)
let folder = ''

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-conformance-'))
  writeFileSync(join(folder, 'features.json'), JSON.stringify({ features: FEATURES }))
  for (const name of ['connectconformance', ...SERVERS.map(({ server }) => server)]) await programOf(name)
}, 900_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

// Side by side: most of the time of both is waiting for deadlines.
test.concurrent.each(SERVERS)(
  '$server answers through the proxy as without it',
  { timeout: RUN_MAX_MS + 10_000 },
  async ({ server, knownFailing }) => {
    const known = knownFailing.flatMap((pattern) => ['--known-failing', pattern])
    const underTest = [process.execPath, behindProxy, await programOf(server)]
    const argv = ['--conf', join(folder, 'features.json'), '--mode', 'server', ...known, '--', ...underTest]
    const runner = await startChild('connectconformance', await programOf('connectconformance'), argv)
    const impatience = setTimeout(() => void runner.stop(), RUN_MAX_MS)
    const code = await runner.exited
    clearTimeout(impatience)
    const said = [...runner.stdout, ...runner.stderr]
    const failed = said.filter((line) => /^(FAILED|INFO|\t)/.test(line))
    expect(code, lastLines([...failed, ...said.slice(-5)], 60)).toBe(0)
    const total = said.map((line) => /^Total cases: (\d+)$/.exec(line)?.[1]).find((count) => count !== undefined)
    expect(Number(total)).toBe(CASES)
  },
)
