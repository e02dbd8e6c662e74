import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { type Episode, lasts, stepEpisode } from './episode.ts'

const PAUSE = millis(10)

/** A sign a millisecond: `x` it is there, `.` it is not. Answers since when it lasts, or `.`. */
function play(signs: string): string {
  let episode: Episode | undefined
  return [...signs]
    .map((sign, at) => {
      episode = stepEpisode(episode, sign === 'x', PAUSE, millis(at))
      return lasts(episode, PAUSE, millis(at)) ? String(episode.since % 10) : '.'
    })
    .join('')
}

test.each([
  ['it begins with its first sign', '..xx', '..22'],
  ['it ends when it was away for long enough', 'xx............', '000000000000..'],
  ['what flutters is one episode', 'x.x...x.....x', '0000000000000'],
  ['it begins anew after it ended', 'x............xx', '00000000000..33'],
])('%s', (_name, signs, seen) => {
  expect(play(signs)).toBe(seen)
})
