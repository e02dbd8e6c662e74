import { expect, test } from 'vitest'
import { millis } from '../../core/units.ts'
import { EndpointSlot } from './endpoint-slot.ts'

const slot = (): EndpointSlot =>
  new EndpointSlot({
    ...{ id: 'a', node: 'a', zone: '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC', models: ['*'], weight: 100 },
    ...{ state: 'READY', freshness: 'fresh', capacity: 0 },
  })

/** So many more requests of ours from then on. */
function hold(one: EndpointSlot, more: number, at: number): void {
  one.noteCharge(millis(at))
  one.inFlight += more
}

test('a report that was on its way for a while is held against what we had open when its sample was taken', () => {
  const one = slot()
  hold(one, 2, 100)
  hold(one, 3, 500)
  one.report({ load: { queueDepth: 1, running: 4 }, sampledAt: millis(300) })
  expect([one.chargedAtSample, one.charged, one.others.work]).toEqual([2, 5, 3])
})

test('what others hold is a mean over reports, and a report of less than ours contradicts', () => {
  const one = slot()
  for (let at = 0; at < 60_000; at += 500) one.report({ load: { queueDepth: 0, running: at % 1_000 === 0 ? 8 : 0 }, sampledAt: millis(at) })
  expect(one.others.work).toBeGreaterThan(3)
  expect(one.others.work).toBeLessThan(5)
  expect(one.others.contradicts(one.charged)).toBe(false)
  hold(one, 20, 60_000)
  for (let at = 61_000; at < 80_000; at += 500) one.report({ load: { queueDepth: 0, running: 8 }, sampledAt: millis(at) })
  expect([one.others.work, one.others.contradicts(one.charged)]).toEqual([0, true])
  one.report(undefined)
  expect([one.others.work, one.others.contradicts(one.charged)]).toEqual([undefined, false])
})

test('a load that came with an answer is younger than the report, until the report is known to hold again', () => {
  const one = slot()
  one.report({ load: { queueDepth: 5, running: 2 }, sampledAt: millis(100) }, 1)
  hold(one, 3, 120)
  one.reportInBand({ queueDepth: 1 }, millis(200))
  expect([one.load, one.chargedAtSample]).toEqual([{ load: { queueDepth: 1, running: 2 }, sampledAt: 200 }, 3])
  one.loadHolds(1, millis(150))
  expect(one.load?.load.queueDepth).toBe(1)
  one.loadHolds(1, millis(300))
  expect(one.load).toEqual({ load: { queueDepth: 5, running: 2 }, sampledAt: 300 })
})

test('a part that says nothing of the queue makes the queue no younger', () => {
  const one = slot()
  one.report({ load: { queueDepth: 5 }, sampledAt: millis(100) }, 1)
  hold(one, 3, 120)
  one.reportInBand({ kvCacheUse: 0.5 }, millis(200))
  expect([one.load, one.chargedAtSample]).toEqual([{ load: { queueDepth: 5, kvCacheUse: 0.5 }, sampledAt: 100 }, 0])
  const fresh = slot()
  fresh.reportInBand({ kvCacheUse: 0.5 }, millis(200))
  expect(fresh.load).toEqual({ load: { kvCacheUse: 0.5 }, sampledAt: 200 })
})
