import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { hello, Play } from '../testing/play.ts'
import { endpoint } from '../testing/reports.ts'

/** A fleet of nearly 4 MiB in a proxy's first picture. */
function large(): Play {
  const play = new Play().connected()
  const models = Array.from({ length: 256 }, (_, at) => `${'m'.repeat(250)}${at}`)
  for (let node = 0; node < 64; node++) play.reports(`n${node}`, { endpoints: [endpoint(`n${node}`, { models })] })
  return play
}

const greeted = (play: Play): number => [...play.state.proxies.values()].filter((session) => session.greeted).length

test('a crowd of newcomers is greeted in turns: what lies unanswered stays within its bound, and each answer lets the next in', () => {
  const play = large()
  const size = play.state.snapshot.bytes
  expect(size).toBeGreaterThan(3.5 * 2 ** 20)
  const crowd = 40
  for (let stream = 1; stream <= crowd; stream++) play.do({ kind: 'proxy-hello', stream, hello: hello(`p${stream}`) })
  play.run(200)
  const first = greeted(play)
  expect(first).toBe(Math.floor(limits.greetingBytesMax / size))
  play.ack(1).run(200)
  expect(greeted(play)).toBe(first + 1)
  for (let turn = 0; turn < 5; turn++) {
    for (let stream = 1; stream <= crowd; stream++) play.ack(stream)
    play.run(200)
  }
  expect(greeted(play)).toBe(crowd)
})

test('few are greeted at a time when the fleet is large, and the next a moment later', () => {
  const play = large()
  for (let stream = 1; stream <= 20; stream++) play.do({ kind: 'proxy-hello', stream, hello: hello(`p${stream}`) })
  play.run(20)
  const few = Math.floor(limits.greetingBytesPerRound / play.state.snapshot.bytes)
  expect(greeted(play)).toBe(few)
  const gap = (1_000 * play.state.snapshot.bytes) / limits.greetingLayoutPerSecond
  play.run(gap - limits.membershipCoalesce)
  expect(greeted(play)).toBe(few)
  play.run(limits.membershipCoalesce)
  expect(greeted(play)).toBe(2 * few)
})

test('a proxy that never answers does not keep others out for ever', () => {
  const play = large()
  for (let stream = 1; stream <= 40; stream++) play.do({ kind: 'proxy-hello', stream, hello: hello(`p${stream}`) })
  play.run(200)
  const first = greeted(play)
  play.now = millis(play.now + limits.greetingPatience)
  play.do({ kind: 'tick' }).run(40)
  expect(greeted(play)).toBeGreaterThan(first)
})
