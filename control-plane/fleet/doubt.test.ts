import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { asks, type Doubt, NO_DOUBT, nextDoubtAt, settleDoubt, stepDoubt } from './doubt.ts'
import { NO_OUTCOMES, type Outcomes } from './proxy-views.ts'

const some = (fields: Partial<Outcomes>): Outcomes => ({ ...NO_OUTCOMES, ...fields })
const FAILING = some({ failures: limits.suspectFailures })
const WELL = some({ successes: 50 })

type Said = Outcomes | 'opens' | 'refuses' | 'not-ready'

/** A word each two seconds. Answers states, with `?` where a connection is asked for. */
function play(...said: readonly Said[]): string {
  let doubt: Doubt = NO_DOUBT
  return said
    .map((word, at) => {
      const now = millis(at * 2_000)
      const before: Doubt = doubt
      if (word === 'opens') doubt = settleDoubt(before, { open: true }, now)
      else if (word === 'refuses') doubt = settleDoubt(before, { open: false, reason: 'refused' }, now)
      else doubt = stepDoubt(before, word !== 'not-ready', word === 'not-ready' ? FAILING : word, now)
      return doubt.state + (asks(before, doubt) ? '?' : '')
    })
    .join(' ')
}

test.each<[string, readonly Said[], string]>([
  ['few failures are no reason', [some({ failures: limits.suspectFailures - 1 })], 'none'],
  ['failures among more successes are none', [some({ failures: 30, successes: 31 })], 'none'],
  ['backpressure is no failure', [some({ backpressures: 500 })], 'none'],
  ['many failures make it suspect, and ask once', [FAILING, FAILING], 'suspect? suspect'],
  ['a connection that is refused settles it', [FAILING, 'refuses'], 'suspect? refused'],
  ['a refused one is asked again now and then', [FAILING, 'refuses', NO_OUTCOMES, NO_OUTCOMES], 'suspect? refused refused refused?'],
  ['one that opens is tried with a little', [FAILING, 'opens', FAILING], 'suspect? open open'],
  ['successes clear it', [FAILING, 'opens', WELL], 'suspect? open none'],
  ['back from refused by way of being tried', [FAILING, 'refuses', 'opens', NO_OUTCOMES, WELL], 'suspect? refused open open none'],
  ['an agent that says otherwise has the word', [FAILING, 'refuses', 'not-ready'], 'suspect? refused none'],
  ['of an endpoint that is not ready nothing is doubted', ['not-ready'], 'none'],
  ['an answer that nobody waits for', ['refuses'], 'none'],
  ['no answer at all: it is asked again', [FAILING, FAILING, FAILING, FAILING], 'suspect? suspect suspect suspect?'],
])('%s', (_name, said, seen) => {
  expect(play(...said)).toBe(seen)
})

test('whoever was doubted starts slowly', () => {
  expect(stepDoubt({ state: 'open', quietSince: millis(0) }, true, WELL, millis(7))).toEqual({ state: 'none', warmingSince: 7 })
})

test('without any traffic it is believed again after a while, and says when', () => {
  const open: Doubt = { state: 'open', quietSince: millis(0) }
  expect(nextDoubtAt(open)).toBe(limits.suspectQuiet)
  expect(stepDoubt(open, true, NO_OUTCOMES, millis(limits.suspectQuiet - 1)).state).toBe('open')
  expect(stepDoubt(open, true, NO_OUTCOMES, limits.suspectQuiet).state).toBe('none')
})
