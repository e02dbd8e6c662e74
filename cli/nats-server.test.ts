import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { UsageError } from '../core/edge/settings.ts'
import { findNatsServer } from './nats-server.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-find-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

function program(path: string, script = ''): string {
  mkdirSync(join(folder, path, '..'), { recursive: true })
  writeFileSync(join(folder, path), `#!/bin/sh\n${script}\n`)
  chmodSync(join(folder, path), 0o755)
  return join(folder, path)
}

const find = (path: string, say: string[] = []): Promise<string> =>
  findNatsServer((line) => say.push(line), { PATH: path, HOME: folder, MILLRACE_CACHE: join(folder, 'cache') })

test('the one on PATH wins over the cached one', async () => {
  const onPath = program('bin/nats-server')
  program('cache/bin/nats-server')
  expect(await find(join(folder, 'bin'))).toBe(onPath)
})

test('the cached one is found at once and in silence', async () => {
  const cached = program('cache/bin/nats-server')
  const said: string[] = []
  expect(await find('', said)).toBe(cached)
  expect(said).toEqual([])
})

test('with Go alone it is built into the cache, and said so', async () => {
  program('bin/go', '[ "$1" = install ] && printf "#!/bin/sh\\n" > "$GOBIN/nats-server" && /bin/chmod +x "$GOBIN/nats-server"')
  const said: string[] = []
  expect(await find(join(folder, 'bin'), said)).toBe(join(folder, 'cache/bin/nats-server'))
  expect(said[0]).toContain('building github.com/nats-io/nats-server')
})

test('where nothing can install it the message says what to install', async () => {
  program('bin/go', 'exit 1')
  program('bin/apt-get', 'exit 100')
  const failure = await find(join(folder, 'bin')).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(UsageError)
  expect((failure as Error).message).toContain('install it (https://nats.io/download')
})
