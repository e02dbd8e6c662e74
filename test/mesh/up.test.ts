/** `millrace up` as a person runs it: all parts as processes, a token stream through them, and nothing left behind. */
import { randomUUID } from 'node:crypto'
import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Child, startVerb } from '../../cli/child.ts'

const UP_DEADLINE_MS = 60_000

let temporary: string
/** Every process that `up` starts inherits this variable, so that none can hide. */
let mark: string
let up: Child | undefined

beforeEach(() => {
  temporary = mkdtempSync(join(tmpdir(), 'millrace-up-test-'))
  mark = randomUUID()
})
afterEach(async () => {
  await up?.stop()
  up = undefined
  rmSync(temporary, { recursive: true, force: true })
})

const startUp = async (...argv: string[]): Promise<Child> => {
  up = await startVerb('up', 'up', argv, { TMPDIR: temporary, UP_TEST_MARK: mark })
  return up
}

const leftBehind = (): string[] => globSync('/proc/[0-9]*').filter((folder) => read(`${folder}/environ`).includes(mark))

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // its process ended while we looked
  }
}

async function expectNothingLeft(): Promise<void> {
  await expect.poll(leftBehind).toEqual([])
  expect(readdirSync(temporary)).toEqual([])
}

const addressOf = (child: Child, part: string): string =>
  child.stdout.map((line) => new RegExp(`^ {2}${part} +(\\S+)`).exec(line)?.[1]).find((address) => address !== undefined) ?? ''

const cli = async (verb: string, ...argv: string[]): Promise<{ code: number | null; out: string; err: string }> => {
  const child = await startVerb(verb, verb, argv)
  const code = await child.exited
  return { code, out: child.stdout.join('\n'), err: child.stderr.join('\n') }
}

test('up --once shows every part, a token stream and who served it, exits 0 and leaves nothing behind', async () => {
  const child = await startUp('--once')
  expect([await child.exited, child.stderr]).toEqual([0, []])
  const out = child.stdout.join('\n')
  for (const part of ['nats-server', 'control-plane', 'proxy', ...[1, 2, 3].flatMap((at) => [`sim-${at} model server`, `sim-${at} agent`])])
    expect(out).toMatch(new RegExp(`^ {2}${part} .* ms`, 'm'))
  expect(out).toMatch(/^sim-[123]\/sim \(simulated\): A mill race is the channel .*simulated answer/m)
  expect(out).toMatch(/served by sim-[123]\/sim · \d+ tokens · first after [\d.]+ ms/)
  await expectNothingLeft()
})

test('up stays: its mesh is asked, watched and drained, and SIGTERM ends it cleanly', async () => {
  const child = await startUp('--nodes', '2')
  await child.waitForLine(/^Ctrl-C stops all of it/, UP_DEADLINE_MS)
  const door = addressOf(child, 'proxy')
  const admin = addressOf(child, 'control-plane')
  const infer = (): ReturnType<typeof cli> =>
    cli('infer', '--to', door, '--model', 'sim_llm', '--prompt', 'more', '--max-tokens', '3', '--stream')

  const streamed = await infer()
  expect([streamed.code, streamed.out]).toEqual([0, 'A mill race'])
  expect(streamed.err).toMatch(/^served by sim-[12]\/sim · 3 tokens/)

  // One node is enough for a first answer: the other may come a moment later.
  const nodes = async (): Promise<string> => (await cli('admin', 'nodes', '--to', admin)).out
  await expect.poll(nodes).toMatch(/^sim-1 \(simulated\) .*sim-1\/sim .* READY .*H100/m)
  await expect.poll(nodes).toMatch(/^sim-2 \(simulated\) .*sim-2\/sim .* READY .*H200/m)

  const watch = await startVerb('watch', 'admin', ['weights', '--watch', '--json', '--to', admin], { UP_TEST_MARK: mark })
  await watch.waitForLine(/ENDPOINT_STATE_READY/, UP_DEADLINE_MS)
  expect((await cli('admin', 'drain', 'sim-1', '--reason', 'a test', '--to', admin)).code).toBe(0)
  await watch.waitForLine(/sim-1\/sim.*ENDPOINT_STATE_DRAINING/, UP_DEADLINE_MS)
  watch.kill()
  await expect.poll(async () => (await infer()).err).toMatch(/sim-2/)
  for (let request = 0; request < 3; request++) expect((await infer()).err).toMatch(/^served by sim-2\/sim/)

  expect(await child.stop()).toBe(0)
  await expectNothingLeft()
})

test('a part that dies is named with what it said last, and takes the rest down with exit code 1', async () => {
  const child = await startUp('--nodes', '1')
  await child.waitForLine(/^Ctrl-C stops all of it/, UP_DEADLINE_MS)
  const agent = leftBehind().find((folder) => read(`${folder}/cmdline`).includes('main.ts\0agent\0')) ?? ''
  process.kill(Number(agent.split('/')[2]), 'SIGKILL')
  expect(await child.exited).toBe(1)
  expect(child.stderr.join('\n')).toContain('sim-1 agent ended unexpectedly (killed)')
  await expectNothingLeft()
})

test('nothing to serve with is a usage error', async () => {
  expect(await cli('up', '--nodes', '0')).toMatchObject({ code: 64, err: expect.stringContaining('leaves nothing that serves') })
})
