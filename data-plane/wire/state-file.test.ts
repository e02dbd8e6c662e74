import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { UsageError } from '../../core/edge/settings.ts'
import { type HeldEndpoint, loadState, parseState, prepareStateDir, saveState } from './state-file.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-state-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const held = (count: number): readonly HeldEndpoint[] =>
  Array.from({ length: count }, (_, at) => ({
    version: `v${at}`,
    endpoint: {
      id: `node-${at}/sim`,
      node: `node-${at}`,
      zone: '',
      address: '127.0.0.1:1',
      protocol: 'KSERVE_GRPC',
      models: ['*'],
      weight: at,
      state: 'READY',
      freshness: 'fresh',
      capacity: 0,
    },
  }))

test('what is saved is loaded, and nothing else lies in the folder', async () => {
  expect(loadState(dir)).toEqual({ kind: 'none' })
  for (const count of [0, 1, 1_000]) {
    const picture = { savedAt: 1_700_000_000_000 + count, version: 'abc', held: held(count) }
    await saveState(dir, picture)
    expect(loadState(dir)).toEqual({ kind: 'picture', picture })
  }
  expect(readdirSync(dir)).toEqual(['picture.jsonl'])
})

test('a damaged file is set aside and never used, wherever the damage is', async () => {
  await saveState(dir, { savedAt: 1, version: 'abc', held: held(20) })
  const path = join(dir, 'picture.jsonl')
  const good = readFileSync(path, 'utf8')
  expect(parseState(good)).toMatchObject({ version: 'abc' })
  for (let at = 0; at < good.length - 1; at += 7) {
    expect(parseState(good.slice(0, at)), `cut at ${at}`).toBeTypeOf('string')
    expect(parseState(`${good.slice(0, at)}\u0001${good.slice(at + 1)}`), `changed at ${at}`).toBeTypeOf('string')
  }
  writeFileSync(path, good.slice(0, 500))
  expect(loadState(dir)).toEqual({ kind: 'damaged', detail: 'its end is missing', aside: `${path}.damaged` })
  expect(existsSync(path)).toBe(false)
  expect(loadState(dir)).toEqual({ kind: 'none' })
})

test('a save that fails leaves the last good file', async () => {
  await saveState(dir, { savedAt: 1, version: 'good', held: held(3) })
  const circular: Record<string, unknown> = {}
  circular.self = circular
  await expect(saveState(dir, { savedAt: 2, version: 'bad', held: [...held(300), circular as unknown as HeldEndpoint] })).rejects.toThrow()
  expect(loadState(dir)).toMatchObject({ kind: 'picture', picture: { version: 'good' } })
})

test('a folder that cannot be is a mistake in the settings', () => {
  writeFileSync(join(dir, 'file'), '')
  expect(() => prepareStateDir(join(dir, 'file', 'below'))).toThrow(UsageError)
})
