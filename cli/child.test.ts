import { expect, test } from 'vitest'
import { type Child, startChild } from './child.ts'
import type { CommandFailure } from './command-failure.ts'
import { Crew } from './crew.ts'

const node = (name: string, code: string): Promise<Child> => startChild(name, process.execPath, ['-e', code])
const PATIENCE_MS = 20_000
const STAYS = 'setInterval(() => {}, 1000); console.log("up")'

test('a line is found whether it was printed before or after the question, on either output', async () => {
  const child = await node('talker', 'console.log("one"); console.error("two"); setInterval(() => {}, 1000)')
  expect(await child.waitForLine(/^two$/, PATIENCE_MS)).toBe('two')
  expect(await child.waitForLine(/^one$/, PATIENCE_MS)).toBe('one')
  expect([child.stdout, child.stderr]).toEqual([['one'], ['two']])
  expect(await child.stop()).toBe(null)
})

test('waiting for a line ends with the child, and tells what it said last', async () => {
  const child = await node('short', 'console.error("the cause"); process.exit(3)')
  await expect(child.waitForLine(/never/, PATIENCE_MS)).rejects.toThrow(/short ended with 3; it said last:\n {4}the cause/)
  expect([await child.exited, child.hasExited()]).toEqual([3, true])
})

test('a line that does not come is a failure after its deadline', async () => {
  const child = await node('silent', STAYS)
  await expect(child.waitForLine(/never/, 50)).rejects.toThrow(/printed no line like \/never\/ within 50 ms/)
  child.kill()
  expect(await child.exited).toBe(null)
})

test('a program that is not there is an error, not a child', async () => {
  await expect(startChild('ghost', '/no/such/program', [])).rejects.toThrow(/ENOENT/)
})

test('a crew ends in reverse order of its start, and what ends then is no failure', async () => {
  const failures: CommandFailure[] = []
  const crew = new Crew((failure) => failures.push(failure))
  const ended: string[] = []
  for (const name of ['first', 'second', 'third']) {
    const child = await crew.join(node(name, STAYS))
    await child.waitForLine(/up/, PATIENCE_MS)
    void child.exited.then(() => ended.push(name))
  }
  await crew.stop()
  await expect.poll(() => ended).toEqual(['third', 'second', 'first'])
  expect(failures).toEqual([])
})

test('a member that dies by itself is reported with what it said last', async () => {
  const { promise, resolve } = Promise.withResolvers<CommandFailure>()
  const crew = new Crew(resolve)
  await crew.join(node('poor soul', 'console.error("out of memory"); process.exit(7)'))
  expect((await promise).message).toBe('poor soul ended unexpectedly (7); it said last:\n    out of memory')
  await crew.stop()
})
