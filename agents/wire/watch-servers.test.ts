import { expect, test } from 'vitest'
import { EndpointReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { specOf } from '../discovery/server-spec.ts'
import { watchServers } from './watch-servers.ts'

function play() {
  const log: string[] = []
  let closed: () => void = () => {}
  const watches = watchServers((spec) => {
    log.push(`start ${spec.name}`)
    return {
      seen: () => true,
      reading: () => spec.capacity === 2,
      probeNow: async () => void log.push(`probe ${spec.name}`),
      report: () => EndpointReport.fromPartial({ id: spec.name, capacity: spec.capacity }),
      close: () => {
        log.push(`close ${spec.name}`)
        return new Promise((resolve) => (closed = resolve))
      },
    }
  })
  return { log, watches, finish: () => closed() }
}

const told = (name: string, capacity = 1) => specOf({ name, capacity })

test('a server that stays as it was told is watched on; one that changed is watched anew; one that is gone, no more', () => {
  const { log, watches } = play()
  watches.become([told('b'), told('a'), told('c')])
  expect(watches.reports().map(({ id }) => id)).toEqual(['a', 'b', 'c'])
  watches.become([told('a'), told('b', 2)])
  expect(watches.reports().map(({ id, capacity }) => [id, capacity])).toEqual([
    ['a', 1],
    ['b', 2],
  ])
  expect(log).toEqual(['start a', 'start b', 'start c', 'start b', 'close b', 'close c'])
})

test('the end waits for every watch, also for those that were ending already', async () => {
  const { log, watches, finish } = play()
  watches.become([told('a')])
  watches.become([])
  let ended = false
  const end = watches.close().then(() => (ended = true))
  expect(log).toEqual(['start a', 'close a'])
  await Promise.resolve()
  expect(ended).toBe(false)
  finish()
  await end
})
