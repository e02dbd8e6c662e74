import { execFileSync } from 'node:child_process'
import { accessSync, appendFileSync, constants, existsSync, mkdtempSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { expect, onTestFinished, test, vi } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { KernelText } from '../gpu/kernel-text.ts'
import { followKernelLog, type KernelLog, sourcesOf } from './kernel-log.ts'
import { pathSource, programSource, type Source, type Taps } from './kernel-sources.ts'

type Heard = { readonly texts: string[]; readonly said: string[]; overruns: number; kernel: KernelLog }

function follow(sources: readonly Source[]): Heard {
  const said: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void said.push(line) })
  const texts: string[] = []
  const onText = ({ text }: KernelText, old: boolean): void => void texts.push(old ? `old ${text}` : text)
  const heard: Heard = { texts, said, overruns: 0, kernel: followKernelLog({ sources, log, onText, onOverrun: () => heard.overruns++ }) }
  onTestFinished(() => heard.kernel.close())
  return heard
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'millrace-kernel-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  return path
}

const program = (script: string): Source => programSource('sh', ['-c', script])
const hears = (heard: Heard, texts: string[]) => expect.poll(() => heard.texts).toEqual(texts)

/** A source that a test speaks through. */
function puppet(): Source & { taps: Taps[] } {
  const taps: Taps[] = []
  return {
    name: 'puppet',
    taps,
    open(one) {
      taps.push(one)
      one.onOpen()
      return () => {}
    },
  }
}

test('a file is read from its beginning, then as it grows, and on in a new file of its name', async () => {
  const path = join(folder(), 'kern.log')
  writeFileSync(path, '[    1.000000] NVRM: a\n[    2.000000] NVRM: b\nNVRM: hal')
  const heard = follow([pathSource(path)])
  await hears(heard, ['old NVRM: a', 'old NVRM: b'])
  appendFileSync(path, 'f\n')
  await hears(heard, ['old NVRM: a', 'old NVRM: b', 'NVRM: half'])
  renameSync(path, `${path}.1`)
  writeFileSync(path, 'NVRM: c\n')
  await expect.poll(() => heard.texts.at(-1)).toBe('NVRM: c')
  truncateSync(path)
  appendFileSync(path, 'd\n')
  await expect.poll(() => heard.texts.at(-1)).toBe('d')
  expect(heard.kernel.source()).toBe(path)
})

test('a FIFO is followed across its writers', async () => {
  const path = join(folder(), 'kmsg')
  execFileSync('mkfifo', [path])
  const heard = follow([pathSource(path)])
  for (const text of ['NVRM: a', 'NVRM: b']) {
    appendFileSync(path, `${text}\n`)
    await expect.poll(() => heard.texts.at(-1)).toBe(text)
  }
})

test('of programs the first that prints is followed, and why others are not is no news', async () => {
  const heard = follow([
    pathSource('/nowhere/kmsg'),
    programSource('/nowhere/journalctl', []),
    program('echo no rights >&2; exit 1'),
    program('echo "[    0.500000] NVRM: a"; echo "NVRM: b"; exec sleep 60'),
  ])
  await hears(heard, ['old NVRM: a', 'old NVRM: b'])
  expect(heard.said.filter((line) => line.includes('kernel-log.unreadable'))).toEqual([])
})

test('a log that nobody may read is told of once, with each reason and the cure', async () => {
  const heard = follow([pathSource('/nowhere/kmsg'), program('echo "read kernel buffer failed: Operation not permitted" >&2; exit 1')])
  await expect.poll(() => heard.said.length).toBe(1)
  const line = JSON.parse(heard.said[0] ?? '{}') as { tried: Record<string, string>; cure: string; msg: string }
  expect(line).toMatchObject({
    msg: 'kernel-log.unreadable',
    tried: { '/nowhere/kmsg': 'is not on this host', sh: 'ended with 1 (read kernel buffer failed: Operation not permitted)' },
    cure: expect.stringContaining('CAP_SYSLOG'),
  })
  expect(heard.kernel.source()).toBeUndefined()
})

test('what comes back after an end is not read twice, or a cleared fault would return', () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const source = puppet()
  const heard = follow([source])
  const say = (texts: [string, number][]): void => {
    for (const [text, at] of texts) source.taps.at(-1)?.onText({ text, at: at as KernelText['at'] }, false)
  }
  say([
    ['a', 1],
    ['b', 2],
    ['c', 2],
  ])
  source.taps.at(-1)?.onEnd('its daemon was restarted')
  expect(source.taps).toHaveLength(1)
  vi.advanceTimersByTime(limits.kernelLogAgain)
  expect(source.taps).toHaveLength(2)
  say([
    ['a', 1],
    ['b', 2],
    ['c', 2],
    ['d', 3],
  ])
  expect(heard.texts).toEqual(['a', 'b', 'c', 'd'])
})

test('off reads nothing, a path is taken as told, auto begins at the device', () => {
  expect(sourcesOf('off')).toEqual([])
  expect(sourcesOf('/var/log/kern.log').map(({ name }) => name)).toEqual(['/var/log/kern.log'])
  expect(sourcesOf('auto').map(({ name }) => name)).toEqual(['/dev/kmsg', 'journalctl', 'dmesg'])
})

const DEVICE = '/dev/kmsg'
const readable = (): boolean => {
  try {
    accessSync(DEVICE, constants.R_OK)
    return process.getuid?.() === 0
  } catch {
    return false
  }
}

test.skipIf(!existsSync(DEVICE) || !readable())('this host: what its kernel said since it booted is read from the device', async () => {
  const heard = follow(sourcesOf('auto'))
  await expect.poll(() => heard.texts.length).toBeGreaterThan(0)
  // The kernel may speak meanwhile.
  expect(heard.texts[0]).toMatch(/^old /)
  expect(heard.kernel.source()).toBe(DEVICE)
})
