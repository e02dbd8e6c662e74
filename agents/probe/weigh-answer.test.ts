import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { type Outcome, type Signs, weighAnswer } from './weigh-answer.ts'

const still: Signs = { progress: false, queued: false }
const moving: Signs = { progress: true, queued: true }
const queued: Signs = { progress: false, queued: true }
const status = (code: number): Outcome => ({ kind: 'status', code, detail: 'x' })
const late: Outcome = { kind: 'timeout', after: millis(5_000) }

test.each<[string, Outcome, Signs, untried: string, tried: string]>([
  ['an answer', { kind: 'answered' }, still, 'passed', 'passed'],
  ['RESOURCE_EXHAUSTED', status(8), still, 'busy', 'busy'],
  ['UNAVAILABLE of a live server', status(14), still, 'busy', 'busy'],
  ['a full house over HTTP', { kind: 'http', status: 429 }, still, 'busy', 'busy'],
  ['an overloaded house over HTTP', { kind: 'http', status: 503 }, still, 'busy', 'busy'],
  ['silence while others are served', late, moving, 'busy', 'busy'],
  ['silence with a queue', late, queued, 'busy', 'busy'],
  ['silence', late, still, 'failed', 'failed'],
  ["the server's own deadline", status(4), still, 'failed', 'failed'],
  ["the server's own deadline while others are served", status(4), moving, 'busy', 'busy'],
  ['a refused connection', { kind: 'refused' }, moving, 'failed', 'failed'],
  ['a model that is gone', status(5), still, 'failed', 'failed'],
  ['a connection that breaks', { kind: 'broken', detail: 'cut' }, still, 'senseless', 'failed'],
  ['INTERNAL', status(13), still, 'senseless', 'failed'],
  ['UNKNOWN', status(2), still, 'senseless', 'failed'],
  ['HTTP 500', { kind: 'http', status: 500 }, still, 'senseless', 'failed'],
  ['INVALID_ARGUMENT', status(3), still, 'senseless', 'senseless'],
  ['PERMISSION_DENIED', status(7), still, 'senseless', 'senseless'],
  ['UNIMPLEMENTED', status(12), still, 'senseless', 'senseless'],
  ['UNAUTHENTICATED', status(16), still, 'senseless', 'senseless'],
  ['HTTP 404', { kind: 'http', status: 404 }, still, 'senseless', 'senseless'],
])('%s', (_, outcome, signs, untried, tried) => {
  expect(weighAnswer(outcome, signs, false).kind).toBe(untried)
  expect(weighAnswer(outcome, signs, true).kind).toBe(tried)
})
