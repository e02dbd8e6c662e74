import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test, vi } from 'vitest'
import { main } from './simulate.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-simulate-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const file = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}
const SMALL = `about: two servers for a few seconds
fleet: [{ gpu: h100 }, { gpu: a100 }]
workload:
  prompt: { median: 100, max: 500 }
  output: { median: 10, max: 50 }
warmUpSeconds: 1
seconds: 5
loads: [0.3]
`

async function printed(...argv: readonly string[]): Promise<string> {
  const out = vi.spyOn(process.stdout, 'write').mockReturnValue(true)
  vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  try {
    await main(argv)
    return out.mock.calls.map(([text]) => String(text)).join('')
  } finally {
    vi.restoreAllMocks()
  }
}

test('a table for people, JSON for programs, a chart for both', async () => {
  const scenario = file('small.yaml', SMALL)
  expect(await printed('--scenario', scenario, '--policies', 'LEAST_WAIT,epp')).toMatch(/\| 0\.30 \| LEAST_WAIT .*\n\| 0\.30 \| epp /)
  const { rows } = JSON.parse(
    await printed('--scenario', scenario, '--policies', 'LEAST_WAIT', '--loads', '0.2,0.4', '--json', '--svg', folder),
  )
  expect(rows.map(({ load }: { load: number }) => load)).toEqual([0.2, 0.4])
  expect(readFileSync(join(folder, 'small.svg'), 'utf8')).toMatch(/^<svg /)
})

test('recorded requests are played on the scenario’s fleet', async () => {
  const decision = { at_unix_ms: 0, attempt: 1, end: { first_byte_ms: 5, messages: 20, request_bytes: 900 } }
  const lines = [0, 300, 900].map((at) => JSON.stringify({ proxy: 'p', decision: { ...decision, at_unix_ms: at } }))
  const replay = file('decisions.jsonl', lines.join('\n'))
  expect(await printed('--scenario', file('small.yaml', SMALL), '--replay', replay, '--policies', 'LEAST_REQUEST')).toContain(
    'LEAST_REQUEST',
  )
})

test.each([
  [['--scenario', 'no-such'], /--scenario no-such: there is no such file, and shipped are antagonists, /],
  [['--policies', 'LEAST_WEIGHT'], /LEAST_WEIGHT is no policy; there are LEAST_WAIT, /],
  [['--loads', '0.5,much'], /wants shares of the capacity by commas/],
  [['--replay', '/no/such/file'], /--replay \/no\/such\/file: there is no such file/],
])('%j is refused with the reason', async (argv, complaint) => {
  await expect(printed(...argv)).rejects.toThrow(complaint)
})
