import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { z } from 'zod'
import { announceReady, parseReadyLine } from './ready-line.ts'
import { flag, hostPort, readSettings, wholeNumber } from './settings.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-settings-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const VERB = {
  name: 'try',
  about: 'tries settings',
  example: 'millrace try --listen 127.0.0.1:1',
  settings: {
    listen: { value: 'host:port', about: 'where', schema: hostPort, fallback: '127.0.0.1:7400' },
    workers: { value: 'n', about: 'how many', schema: wholeNumber(1, 8), fallback: 1 },
    nameEndpoints: { about: 'a switch', schema: flag, fallback: false },
    zone: { value: 'zone', about: 'may be absent', schema: z.string() },
  },
} as const

const file = (text: string): string => {
  const path = join(folder, 'settings.yaml')
  writeFileSync(path, text)
  return path
}
const read = (argv: string[], environment: NodeJS.ProcessEnv = {}) => readSettings(VERB, argv, environment)

test('without anything the defaults hold, and what has none is absent', () => {
  expect(read([])).toEqual({ listen: '127.0.0.1:7400', workers: 1, nameEndpoints: false, zone: undefined })
})

test('a flag wins over its variable, that over the file, that over the default', () => {
  const path = file('workers: 2\nzone: z-file\nlisten: 127.0.0.1:1\n')
  const settings = read(['--config', path, '--workers', '4'], {
    MILLRACE_WORKERS: '3',
    MILLRACE_ZONE: 'z-env',
    MILLRACE_NAME_ENDPOINTS: 'true',
  })
  expect(settings).toEqual({ listen: '127.0.0.1:1', workers: 4, nameEndpoints: true, zone: 'z-env' })
})

test.each([
  [['--workers', '9'], {}, /--workers "9": /],
  [[], { MILLRACE_WORKERS: 'many' }, /MILLRACE_WORKERS "many": /],
  [['--listen', '7400'], {}, /--listen "7400": wants host:port, for example 127\.0\.0\.1:7400/],
  [['--listen', 'h:70000'], {}, /wants a port up to 65535/],
  [['--config', '/no/such/file'], {}, /--config \/no\/such\/file: .*no such file/],
])('a bad value is refused by the name of its source: %j %j', (argv, environment, complaint) => {
  expect(() => read(argv, environment)).toThrow(complaint)
})

test('a setting that does not exist is refused with those that do', () => {
  expect(() => read(['--config', file('wokers: 2\n')])).toThrow(/no setting "wokers"; there are listen, workers, name-endpoints, zone/)
})

test('a ready line is read back as it was written, and other lines are none', () => {
  const written: string[] = []
  const write = process.stdout.write
  process.stdout.write = (text) => written.push(String(text)) > 0
  announceReady('data-plane', { listen: '127.0.0.1:1', metrics: '[::1]:2' })
  process.stdout.write = write
  expect(parseReadyLine(written.join(''))).toEqual({ part: 'data-plane', fields: { listen: '127.0.0.1:1', metrics: '[::1]:2' } })
  expect(parseReadyLine('already there')).toBeUndefined()
})
