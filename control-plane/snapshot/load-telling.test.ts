import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { hello, Play } from '../testing/play.ts'
import { endpoint } from '../testing/reports.ts'

const { linkReturnGrace, loadHoldPeriod, settleAfter } = limits
const NODES = ['a', 'b', 'c', 'd'] as const

const said = (node: string, queueDepth: number) => ({ endpoints: [endpoint(node, { load: { queueDepth } })] })

/** A fleet whose silence would show, and proxies that hold it with its loads. */
function mesh(proxies = 1, nodes: readonly string[] = NODES): Play {
  const play = new Play().connected()
  for (const node of nodes) play.reports(node, said(node, 5))
  for (let stream = 1; stream <= proxies; stream++) play.do({ kind: 'proxy-hello', stream, hello: hello(`p${stream}`) })
  play.run(40, nodes)
  for (let stream = 1; stream <= proxies; stream++) play.ack(stream)
  return play.run(settleAfter, nodes)
}

/** Of one proxy, what it was told of loads: `id depth`, and `anew` and `hold` for those words. */
const heard = (play: Play, stream = 1): readonly string[] =>
  play
    .of(stream)
    .flatMap(({ delta: { loads, loadsAnew, loadsHold } }) => [
      ...(loadsAnew ? ['anew'] : []),
      ...loads.map(({ endpointId, load }) => `${endpointId[0]} ${load?.queueDepth}`).toSorted(),
      ...(loadsHold ? ['hold'] : []),
    ])

describe('while everybody is heard', () => {
  test('a newcomer is told all loads, then what moves, and that the rest holds', () => {
    const play = new Play().connected()
    for (const node of NODES) play.reports(node, said(node, 5))
    play.do({ kind: 'proxy-hello', stream: 1, hello: hello('p') }).run(40)
    expect(heard(play)).toEqual(['anew', 'a 5', 'b 5', 'c 5', 'd 5'])
    play.run(settleAfter, NODES).take()
    play.reports('b', said('b', 50)).run(2 * loadHoldPeriod, NODES)
    expect(heard(play).toSorted()).toEqual(['b 50', 'hold', 'hold'])
  })

  test('a proxy that does not read is told what it missed before it hears that anything holds', () => {
    const play = mesh(2)
    play.do({ kind: 'proxy-blocked', stream: 1, blocked: true }).take()
    play.reports('a', said('a', 20)).run(300, NODES).reports('c', said('c', 30)).run(2_000, NODES)
    expect([heard(play, 1), heard(play, 2).filter((one) => one !== 'hold')]).toEqual([[], ['a 20', 'c 30']])
    play.do({ kind: 'proxy-blocked', stream: 1, blocked: false }).take()
    play.run(20)
    expect(heard(play, 1)).toEqual(['a 20', 'c 30', 'hold'])
  })

  test('what a proxy refused to know comes with its load once it is taken', () => {
    const play = mesh()
    play.reports('a', { endpoints: [endpoint('a', { models: ['x'], load: { queueDepth: 40 } })] }).take()
    play.run(20)
    const [refused] = play.take()
    play.do({ kind: 'proxy-nack', stream: 1, nonce: refused?.delta.nonce ?? '', reason: 'no' }).run(300, NODES)
    play.reports('b', { endpoints: [endpoint('b', { models: ['y'], load: { queueDepth: 5 } })] }).take()
    play.run(20)
    expect(heard(play).filter((one) => one !== 'hold')).toEqual(['anew', 'a 40', 'b 5', 'c 5', 'd 5'])
  })

  test('an agent that speaks seldom is not vouched for: its load is told each time, and ages', () => {
    const play = mesh()
    play.take()
    for (let turn = 0; turn < 3; turn++) play.reports('slow', { intervalMs: 10_000, ...said('slow', 7) }).run(10_000, NODES)
    const loads = play.of(1).flatMap(({ delta }) => delta.loads)
    expect(loads.map(({ endpointId, load, ages }) => [endpointId, load?.queueDepth, ages])).toEqual(
      [1, 2, 3].map(() => ['slow/triton', 7, true]),
    )
  })
})

describe('while somebody’s silence would not show, no load holds, and each is told again as it is heard', () => {
  const told = (play: Play, ms: number, speaking: readonly string[]): readonly string[] => {
    play.take()
    return [...new Set(heard(play.run(ms, speaking)))].toSorted()
  }

  test('at first, and after the bus was away', () => {
    const play = new Play().connected()
    for (const node of NODES) play.reports(node, said(node, 5))
    play.do({ kind: 'proxy-hello', stream: 1, hello: hello('p') }).run(40)
    expect(told(play, linkReturnGrace, ['a', 'b'])).toEqual(['a 5', 'b 5'])
    play.run(settleAfter, NODES).do({ kind: 'link', link: 'down' })
    expect(told(play, 10_000, [])).toEqual([])
    play.do({ kind: 'link', link: 'up' })
    expect(told(play, linkReturnGrace, NODES)).toEqual(['a 5', 'b 5', 'c 5', 'd 5'])
    play.run(3_000, NODES)
    expect(told(play, 2 * loadHoldPeriod, NODES)).toEqual(['hold'])
  })

  test('when most of the fleet is silent together', () => {
    const play = mesh()
    play.run(3_000, ['a'])
    expect(told(play, 5_000, ['a'])).toEqual(['a 5'])
  })

  test('one silent node of four is stale, and the others’ loads hold', () => {
    const play = mesh()
    expect(told(play, 5_000, ['a', 'b', 'c'])).toEqual(['hold'])
  })
})

test('when the part of the fleet changes that a proxy is told of, it is told anew, all of it and nothing else', () => {
  const nodes = Array.from({ length: 1_000 }, (_, at) => `n${at}`)
  const play = mesh(1, nodes)
  play.take()
  const crowd = 4_000
  for (let stream = 2; stream < crowd; stream++) play.do({ kind: 'proxy-hello', stream, hello: hello(`p${stream}`) })
  play.run(40, nodes)
  const deltas = play.of(1).map(({ delta }) => delta)
  const ids = deltas.flatMap(({ loads }) => loads.map(({ endpointId }) => endpointId))
  expect(deltas.filter(({ loadsAnew }) => loadsAnew)).toHaveLength(1)
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids.length).toBeGreaterThan(limits.loadRowsMin / 2)
  expect(ids.length).toBeLessThan(2 * limits.loadRowsMin)
})
