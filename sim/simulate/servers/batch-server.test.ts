import { describe, expect, test } from 'vitest'
import { millis } from '../../../core/units.ts'
import type { Prompt } from '../workload/arrival.ts'
import { type BatchRules, BatchServer } from './batch-server.ts'
import type { Job } from './server.ts'

const RULES: BatchRules = {
  slots: 2,
  queueMax: 2,
  kvTokens: 1_000,
  prefillTokensPerSecond: 1_000,
  stepMs: 8,
  stepMsPerRequest: 2,
  cacheTokens: 500,
}
const prompt = (tokens: number, session = 0, historyTokens = 0): Prompt => ({ tokens, system: 0, systemTokens: 0, session, historyTokens })
type Named = Job & { readonly name: string }
const job = (name: string, tokens: number, outputTokens: number, of = prompt(tokens)): Named => ({ name, prompt: of, outputTokens })

/** Serves until nothing is left; tells when each first token and each end came. */
function served(rules: Partial<BatchRules>, offers: readonly (readonly [at: number, job: Named])[]) {
  const told: string[] = []
  const server = new BatchServer<Named>(
    { ...RULES, ...rules },
    {
      onFirstToken: (one, at) => told.push(`${one.name} first ${Math.round(at)}`),
      onEnd: (one, at) => told.push(`${one.name} end ${Math.round(at)}`),
    },
  )
  for (const [at, one] of offers) {
    server.advance(millis(at))
    told.push(`${one.name} ${server.offer(one, millis(at))}`)
  }
  for (let next = server.nextAt(); next < Number.POSITIVE_INFINITY; next = server.nextAt()) server.advance(millis(next))
  return { told, server }
}

test('reading gives the first token, and each step of 8 ms and 2 for each request one more', () => {
  expect(served({}, [[0, job('a', 100, 11)]]).told).toEqual(['a taken', 'a first 100', 'a end 200'])
})

test('while another prompt is read, decoding goes at half its speed', () => {
  const { told } = served({}, [
    [0, job('a', 100, 11)],
    [0, job('b', 50, 1)],
  ])
  // 50 ms at 20 ms a step are 2.5 steps, the other 7.5 take 10 ms each.
  expect(told).toEqual(['a taken', 'b taken', 'a first 100', 'b first 150', 'b end 150', 'a end 225'])
})

test('who finds no slot waits, and who finds no place in the queue is refused', () => {
  const { told } = served(
    {},
    ['a', 'b', 'c', 'd', 'e'].map((name) => [0, job(name, 10, 100)] as const),
  )
  expect(told.filter((line) => /taken|refused/.test(line))).toEqual(['a taken', 'b taken', 'c taken', 'd refused', 'e refused'])
})

test('what a session said before is found in the cache and read no second time', () => {
  const { told } = served({}, [
    [0, job('first', 160, 1, prompt(160, 7))],
    [1_000, job('second', 200, 1, prompt(200, 7, 160))],
  ])
  expect(told).toContain('second first 1040')
})

test('when the KV cache is full the youngest gives way, is read again, and everybody ends', () => {
  const { told, server } = served({ kvTokens: 300 }, [
    [0, job('old', 100, 120)],
    [0, job('young', 100, 120)],
  ])
  const end = (name: string): number => Number(told.find((line) => line.startsWith(`${name} end`))?.split(' ')[2])
  expect(end('old')).toBeLessThan(end('young'))
  expect(told.filter((line) => line.startsWith('young first'))).toHaveLength(1)
  expect(server.load(millis(1e6))).toMatchObject({ queueDepth: 0, running: 0, kvCacheUse: 0 })
})

test('one that needs more room than there is goes on alone', () => {
  expect(served({ kvTokens: 120 }, [[0, job('a', 100, 100)]]).told.at(-1)).toMatch(/^a end/)
})

describe('what goes wrong', () => {
  const server = () => {
    const ended: string[] = []
    const made = new BatchServer<Named>(RULES, { onFirstToken: () => {}, onEnd: ({ name }) => ended.push(name) })
    return { made, ended }
  }

  test('a cancelled request frees its place for the next', () => {
    const { made, ended } = server()
    const [a, b] = [job('a', 100, 1_000), job('b', 100, 2)]
    made.offer(a, millis(0))
    made.offer(b, millis(0))
    made.cancel(a, millis(50))
    made.advance(millis(10_000))
    expect(ended).toEqual(['b'])
  })

  test('one that stands still has no next moment, and goes on where it was', () => {
    const { made, ended } = server()
    made.offer(job('a', 100, 11), millis(0))
    made.setSpeed(0, millis(50))
    expect(made.nextAt()).toBe(Number.POSITIVE_INFINITY)
    made.setSpeed(1, millis(1_000))
    made.advance(millis(1_149))
    expect(ended).toEqual([])
    made.advance(millis(1_151))
    expect(ended).toEqual(['a'])
  })

  test('a crash loses all that it had, and what it knew', () => {
    const { made } = server()
    const jobs = [job('a', 10, 5), job('b', 10, 5), job('c', 10, 5)]
    for (const one of jobs) made.offer(one, millis(0))
    expect(made.crash(millis(5))).toEqual(jobs)
    expect(made.load(millis(6))).toMatchObject({ queueDepth: 0, running: 0, kvCacheUse: 0 })
  })
})
