import { expect, test } from 'vitest'
import { type Millis, millis } from '../../core/units.ts'
import { type QueueRules, SlotQueue, seededDraw } from './queue.ts'

const RULES: QueueRules = { slots: 2, queueMax: 3, prefill: millis(20), token: millis(10), jitter: 0, factor: 1 }

/** A queue on virtual time that writes down what happens: `a0` is token 0 of job a, `a2!` its last. */
function play(rules: Partial<QueueRules> = {}, seed = 1) {
  const starts: string[] = []
  const queue = new SlotQueue<string>({ ...RULES, ...rules }, seededDraw(seed), (job, at) => starts.push(`${job}@${at}`))
  const until = (end: number): string[] => {
    const seen: string[] = []
    for (let at = queue.nextAt(); at !== undefined && at <= end; at = queue.nextAt())
      for (const { job, index, last } of queue.due(at)) seen.push(`${job}${index}${last ? '!' : ''}@${at}`)
    return seen
  }
  return { queue, starts, until, at: (time: number): Millis => millis(time) }
}

test('the first token comes after prefill, each further one after the token time', () => {
  const { queue, until, at } = play()
  expect(queue.offer('a', 3, at(100))).toBe('running')
  expect(until(1_000)).toEqual(['a0@120', 'a1@130', 'a2!@140'])
  expect([queue.running, queue.queued, queue.nextAt()]).toEqual([0, 0, undefined])
})

test('beyond the slots jobs wait first come first served, beyond the queue they are refused', () => {
  const { queue, starts, until, at } = play({ slots: 1, queueMax: 2 })
  expect(['a', 'b', 'c', 'd'].map((job) => queue.offer(job, 1, at(0)))).toEqual(['running', 'waiting', 'waiting', 'refused'])
  expect([queue.running, queue.queued]).toEqual([1, 2])
  expect(until(1_000)).toEqual(['a0!@20', 'b0!@40', 'c0!@60'])
  expect(starts).toEqual(['a@0', 'b@20', 'c@40'])
})

test('a cancelled running job frees its slot at once, a cancelled waiting job its place', () => {
  const { queue, starts, until, at } = play({ slots: 1 })
  for (const job of ['a', 'b', 'c']) queue.offer(job, 2, at(0))
  expect(queue.cancel('b', at(1))).toBe(true)
  expect(queue.cancel('a', at(5))).toBe(true)
  expect(queue.cancel('a', at(6))).toBe(false)
  expect(starts).toEqual(['a@0', 'c@5'])
  expect(until(1_000)).toEqual(['c0@25', 'c1!@35'])
})

test('jobs side by side yield in order of time', () => {
  const { queue, until, at } = play()
  queue.offer('a', 2, at(0))
  queue.offer('b', 2, at(5))
  expect(until(1_000)).toEqual(['a0@20', 'b0@25', 'a1!@30', 'b1!@35'])
})

test('a held job yields nothing and keeps its slot; resumed it goes on where it was, once', () => {
  const { queue, until, at } = play({ slots: 1 })
  queue.offer('a', 3, at(0))
  queue.offer('b', 1, at(0))
  expect(until(20)).toEqual(['a0@20'])
  queue.hold('a')
  expect(until(500)).toEqual([])
  expect([queue.running, queue.queued]).toEqual([1, 1])
  queue.resume('a', at(500))
  queue.resume('a', at(500))
  expect(until(1_000)).toEqual(['a1@500', 'a2!@510', 'b0!@530'])
})

test('held and resumed before its next token is due, a job keeps its pace and never yields a token twice', () => {
  const { queue, until, at } = play()
  queue.offer('a', 3, at(0))
  expect(until(20)).toEqual(['a0@20'])
  queue.hold('a')
  queue.resume('a', at(22))
  expect(until(1_000)).toEqual(['a1@30', 'a2!@40'])
})

test('stalled jobs stop after so many tokens and go on when the rules let them', () => {
  const { queue, until, at } = play({ stallAfter: 1 })
  queue.offer('a', 3, at(0))
  expect(until(500)).toEqual(['a0@20'])
  expect(queue.running).toBe(1)
  queue.changeRules(RULES, at(600))
  expect(until(1_000)).toEqual(['a1@600', 'a2!@610'])
})

test('more slots are filled at once; the factor stretches every span', () => {
  const { queue, starts, until, at } = play({ slots: 1 })
  queue.offer('a', 1, at(0))
  queue.offer('b', 2, at(0))
  queue.changeRules({ ...RULES, slots: 2, factor: 10 }, at(10))
  expect(starts).toEqual(['a@0', 'b@10'])
  expect(until(1_000)).toEqual(['a0!@20', 'b0@210', 'b1!@310'])
})

test('phantoms make the queue deep and full, and never run', () => {
  const { queue, at } = play({ slots: 1, queueMax: 3 })
  queue.phantoms = 3
  expect(queue.queued).toBe(3)
  expect([queue.offer('a', 1, at(0)), queue.offer('b', 1, at(0))]).toEqual(['running', 'refused'])
  queue.phantoms = 0
  expect(queue.offer('b', 1, at(0))).toBe('waiting')
})

test('jitter strays within its bound, the same seed in the same way', () => {
  const times = (seed: number): number[] => {
    const { queue, at } = play({ jitter: 0.5, slots: 100 }, seed)
    return Array.from({ length: 50 }, (_, job) => {
      queue.offer(String(job), 1, at(0))
      const due = queue.nextAt() ?? 0
      queue.cancel(String(job), at(0))
      return due
    })
  }
  expect(times(7)).toEqual(times(7))
  expect(times(7)).not.toEqual(times(8))
  expect(Math.min(...times(7))).toBeGreaterThanOrEqual(10)
  expect(Math.max(...times(7))).toBeLessThanOrEqual(30)
})

test('a thousand jobs come due in order of time, whatever the order of their arrival', () => {
  const { queue, at } = play({ slots: 1_000, jitter: 0.9 }, 3)
  for (let job = 0; job < 1_000; job++) queue.offer(String(job), 3, at(job % 7))
  let before = 0
  let yielded = 0
  for (let next = queue.nextAt(); next !== undefined; next = queue.nextAt()) {
    expect(next).toBeGreaterThanOrEqual(before)
    before = next
    yielded += [...queue.due(next)].length
  }
  expect(yielded).toBe(3_000)
})
