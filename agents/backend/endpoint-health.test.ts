import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { askedAgainIn, type Evidence, FRESH_HEALTH, stepHealth } from './endpoint-health.ts'

const ready: Evidence = { kind: 'ready' }
const refused: Evidence = { kind: 'refused' }
const slow: Evidence = { kind: 'slow', reason: 'no answer within 1000 ms' }
const full: Evidence = { kind: 'busy', reason: 'its queue is full' }
const unproven: Evidence = { kind: 'unproven', reason: 'the first probe of its models is under way' }
const loading: Evidence = { kind: 'bad', reason: 'not ready (HTTP 400)' }

function play(...evidence: Evidence[]): string[] {
  let health = FRESH_HEALTH
  return evidence.map((one) => {
    health = stepHealth(health, one)
    return health.state === 'failed' ? `failed: ${health.reason}` : health.state
  })
}

test.each<[string, Evidence[], string[]]>([
  [
    'a server that comes up is starting until its first ready answer',
    [refused, loading, slow, ready],
    ['starting', 'starting', 'starting', 'ready'],
  ],
  ['a refused connection fails a ready server at once', [ready, refused], ['ready', 'failed: refused']],
  ['one slow answer is forgiven', [ready, slow, ready, slow, ready], ['ready', 'ready', 'ready', 'ready', 'ready']],
  ['two bad answers in a row fail', [ready, slow, loading], ['ready', 'ready', 'failed: not ready (HTTP 400)']],
  ['a failed server says its newest reason', [ready, refused, loading], ['ready', 'failed: refused', 'failed: not ready (HTTP 400)']],
  ['a server that turns work away lives', [full, ready, full, refused, full], ['busy', 'ready', 'busy', 'failed: refused', 'busy']],
  [
    'one slow answer is forgiven to a busy one too',
    [full, slow, full, slow, slow],
    ['busy', 'busy', 'busy', 'busy', 'failed: no answer within 1000 ms'],
  ],
  [
    'what is not proven yet starts nobody and fails nobody',
    [unproven, ready, unproven, unproven, slow, unproven, slow, refused, unproven],
    ['starting', 'ready', 'ready', 'ready', 'ready', 'ready', 'ready', 'failed: refused', `failed: ${unproven.reason}`],
  ],
  ['a failed server is ready again by one ready answer', [ready, refused, ready, slow], ['ready', 'failed: refused', 'ready', 'ready']],
])('%s', (_, evidence, expected) => {
  expect(play(...evidence)).toEqual(expected)
})

test('a server that never answered says why it is still starting', () => {
  expect(stepHealth(FRESH_HEALTH, refused)).toEqual({ state: 'starting', reason: 'refused' })
})

test.each<[string, Evidence[], boolean, number | 'next-report']>([
  ['a well one over a connection that stands: with the next report', [ready], true, 'next-report'],
  ['a well one that closes each connection: at every sample', [ready], false, limits.samplePeriod],
  ['one in doubt: soon', [ready, slow], true, limits.healthAgain],
  ['a busy one in doubt: soon', [full, loading], false, limits.healthAgain],
  ['a busy one: at every sample', [full], true, limits.samplePeriod],
  ['one that starts: at every sample', [loading], true, limits.samplePeriod],
  ['one that failed: at every sample', [ready, refused], false, limits.samplePeriod],
])('how soon it is asked again, %s', (_name, evidence, watched, pause) => {
  expect(askedAgainIn(evidence.reduce(stepHealth, FRESH_HEALTH), watched)).toBe(pause)
})
