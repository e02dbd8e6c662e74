import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { EndpointSlot } from './endpoint-slot.ts'

const slot = (): EndpointSlot =>
  new EndpointSlot({
    ...{ id: 'a', node: 'a', zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models: ['*'], weight: 100 },
    ...{ state: 'READY', freshness: 'fresh', capacity: 0 },
  })

test('a load that came with an answer is younger than the report, until the report is known to hold again', () => {
  const one = slot()
  one.report({ load: { queueDepth: 5, running: 2 }, sampledAt: millis(100) }, 1)
  one.dispatchedSince = 3
  one.reportInBand({ queueDepth: 1 }, millis(200))
  expect([one.load, one.dispatchedSince]).toEqual([{ load: { queueDepth: 1, running: 2 }, sampledAt: 200 }, 0])
  one.loadHolds(1, millis(150))
  expect(one.load?.load.queueDepth).toBe(1)
  one.loadHolds(1, millis(300))
  expect(one.load).toEqual({ load: { queueDepth: 5, running: 2 }, sampledAt: 300 })
})

test('a part that says nothing of the queue makes the queue no younger', () => {
  const one = slot()
  one.report({ load: { queueDepth: 5 }, sampledAt: millis(100) }, 1)
  one.dispatchedSince = 3
  one.reportInBand({ kvCacheUse: 0.5 }, millis(200))
  expect([one.load, one.dispatchedSince]).toEqual([{ load: { queueDepth: 5, kvCacheUse: 0.5 }, sampledAt: 100 }, 3])
  const fresh = slot()
  fresh.reportInBand({ kvCacheUse: 0.5 }, millis(200))
  expect(fresh.load).toEqual({ load: { kvCacheUse: 0.5 }, sampledAt: 200 })
})
