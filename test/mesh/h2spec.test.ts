/** The proxy's listener against h2spec, the conformance suite for HTTP/2 servers: every case, none left out. */
import { spawn } from 'node:child_process'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { goTool } from '../tools/go-tool.ts'
import { startProxy, type TestProxy } from '../tools/proxy.ts'

const H2SPEC = 'github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible'
/** What a case waits for a frame, in seconds: only one that fails waits so long. */
const PATIENCE = '5'

let h2spec: string
let proxy: TestProxy

beforeAll(async () => {
  h2spec = await goTool('h2spec', H2SPEC)
  proxy = await startProxy([])
}, 300_000)

afterAll(() => proxy?.stop())

test('all 145 cases of h2spec pass', async () => {
  const [host = '', port = ''] = proxy.listen.split(':')
  const child = spawn(h2spec, ['--host', host, '--port', port, '--timeout', PATIENCE], { stdio: ['ignore', 'pipe', 'inherit'] })
  const said: Buffer[] = []
  child.stdout.on('data', (piece: Buffer) => said.push(piece))
  await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const text = Buffer.concat(said).toString()
  const failures = text.includes('Failures:') ? text.slice(text.indexOf('Failures:')) : ''
  expect(failures).toBe('')
  expect(text).toMatch(/145 tests, 145 passed, 0 skipped, 0 failed/)
})
