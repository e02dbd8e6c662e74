/**
 * Every guard against its own removal: the sources are copied, one bound is lifted in the copy, and the attack's test there is to fail. A test of a guard
 * that passes without it would say nothing. It takes minutes, so it is among the long scenarios.
 */
import { spawn } from 'node:child_process'
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ATTACKS, SLOW_ATTACK } from '../tools/attacks.ts'

const full = process.env.MILLRACE_FULL === '1'
const SOURCES = [
  'cli',
  'core',
  'data-plane',
  'control-plane',
  'agents',
  'proto',
  'sim',
  'test',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
]
const ROOT = join(import.meta.dirname, '../..')
const RUN_MS = 240_000

const cases = [...ATTACKS, SLOW_ATTACK].flatMap(({ name, lifts }) => lifts.map((limits) => ({ name, limits })))

test.runIf(full).each(cases)('$name: goes through without $limits', { timeout: RUN_MS }, async ({ name, limits }) => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-lifted-'))
  try {
    for (const source of SOURCES) cpSync(join(ROOT, source), join(folder, source), { recursive: true, verbatimSymlinks: true })
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    const file = join(folder, 'core/limits.ts')
    let text = readFileSync(file, 'utf8')
    for (const limit of limits) {
      const lifted = text.replace(new RegExp(`^  ${limit}: .*,$`, 'm'), `  ${limit}: Number.MAX_SAFE_INTEGER as never,`)
      expect(lifted, `${limit} is no line of core/limits.ts`).not.toBe(text)
      text = lifted
    }
    writeFileSync(file, text)
    const said = await run(folder, name)
    expect(said).toMatch(/1 failed/)
    expect(said, 'it failed for another reason').toMatch(new RegExp(`FAIL.*${name.slice(0, 20)}`))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** What the attack's test says there. */
async function run(folder: string, name: string): Promise<string> {
  const vitest = globSync(join(ROOT, 'node_modules/vitest/vitest.mjs'))[0] ?? ''
  const argv = [vitest, 'run', '--project', 'mesh', 'test/mesh/attacks.test.ts', '-t', name]
  const child = spawn(process.execPath, argv, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } })
  const said: Buffer[] = []
  child.stdout.on('data', (piece: Buffer) => said.push(piece))
  child.stderr.on('data', (piece: Buffer) => said.push(piece))
  await new Promise((resolve) => child.once('close', resolve))
  return Buffer.concat(said).toString()
}
