import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { limits } from '../../core/limits.ts'
import { askComputeApps } from './ask-compute-apps.ts'
import { askDetails } from './ask-details.ts'
import { type SmiAsker, smiAsker } from './ask-nvidia-smi.ts'

const soon = { timeout: 20_000, interval: 20 }

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'millrace-ask-'))
  onTestFinished(() => rmSync(path, { recursive: true }))
  return path
}

/** A program of a few shell lines that knows its own folder as $here. */
function script(here: string, ...lines: string[]): string {
  const path = join(here, 'nvidia-smi')
  writeFileSync(path, ['#!/bin/sh', `here=${here}`, ...lines, ''].join('\n'))
  chmodSync(path, 0o755)
  return path
}

function asker(program: string, mayAsk: () => boolean = () => true): SmiAsker {
  const made = smiAsker({ program, mayAsk })
  onTestFinished(() => made.close())
  return made
}

/** The deadline comes when a test says so. */
function holdTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
}

test('an answer counts whatever the exit code says', async () => {
  expect(await asker(script(folder(), 'echo "$@"', 'exit 14')).ask(['-q', '-x'])).toEqual({ kind: 'said', text: '-q -x\n' })
})

test('questions are put one after the other', async () => {
  const here = folder()
  const one = asker(script(here, '[ -e $here/busy ] && echo two at once && exit', 'touch $here/busy', 'echo "$1"', 'rm $here/busy'))
  expect(await Promise.all(['a', 'b', 'c'].map((question) => one.ask([question])))).toEqual(
    ['a', 'b', 'c'].map((text) => ({ kind: 'said', text: `${text}\n` })),
  )
})

const LATE = { kind: 'nothing', reason: `nvidia-smi has not answered within ${limits.smiAskMax / 1000} s` }

test('one that hangs has its end by the deadline', async () => {
  holdTime()
  const here = folder()
  const one = asker(script(here, 'touch $here/started', 'exec tail -f /dev/null'))
  const answer = one.ask(['-L'])
  await expect.poll(() => existsSync(join(here, 'started')), soon).toBe(true)
  vi.advanceTimersByTime(limits.smiAskMax)
  expect(await answer).toEqual(LATE)
})

test('while one that hangs is not gone, no other is started beside it', async () => {
  holdTime()
  const here = folder()
  const pidFile = join(here, 'pid')
  // The child of the shell keeps the output open when the shell is killed, as a program does that the driver does not let go.
  const one = asker(
    script(here, 'echo x >> $here/starts', 'tail -f /dev/null & echo $! > $here/pid.new', 'mv $here/pid.new $here/pid', 'wait'),
  )
  const answer = one.ask(['-L'])
  await expect.poll(() => existsSync(pidFile), soon).toBe(true)
  const pid = Number(readFileSync(pidFile, 'utf8'))
  vi.advanceTimersByTime(limits.smiAskMax)
  expect(await answer).toEqual(LATE)
  expect(await one.ask(['-L'])).toEqual({ kind: 'nothing', reason: 'an earlier nvidia-smi hangs' })
  expect(readFileSync(join(here, 'starts'), 'utf8')).toBe('x\n')
  process.kill(pid, 'SIGKILL')
  script(here, 'echo well')
  await expect.poll(() => one.ask(['-L']), soon).toEqual({ kind: 'said', text: 'well\n' })
})

test('while the rows do not come nothing is asked', async () => {
  const here = folder()
  const one = asker(script(here, 'touch $here/started'), () => false)
  expect(await one.ask(['-L'])).toMatchObject({ kind: 'nothing' })
  expect(existsSync(join(here, 'started'))).toBe(false)
})

test('one that says without end is stopped', async () => {
  expect(await asker(script(folder(), 'exec yes')).ask([])).toEqual({ kind: 'nothing', reason: 'nvidia-smi says more than it may' })
})

test('a program that is not there is said by its name', async () => {
  expect(await asker('/nowhere/nvidia-smi').ask([])).toEqual({ kind: 'nothing', reason: expect.stringContaining('/nowhere/nvidia-smi') })
})

test('more questions than may wait are turned away', async () => {
  const one = asker(script(folder(), 'echo x'))
  const answers = await Promise.all(Array.from({ length: limits.smiAsksWaitingMax + 3 }, () => one.ask([])))
  expect(answers.filter(({ kind }) => kind === 'nothing')).toHaveLength(2)
})

test('answers that are none are told in words', async () => {
  const one = asker(script(folder(), 'echo "Failed to initialize NVML: Unknown Error"', 'exit 255'))
  expect(await askDetails(one)).toEqual({ kind: 'nothing', reason: 'nvidia-smi -q -x prints no whole log' })
  expect(await askComputeApps(one)).toEqual({ kind: 'nothing', reason: expect.stringContaining('Failed to initialize NVML') })
})
