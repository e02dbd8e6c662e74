import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'
import { AgentHealth } from './agent-health.ts'

function agent() {
  const clock = { at: millis(0), now: (): Millis => clock.at }
  return { clock, health: new AgentHealth(clock, ['a:4222', 'b:4222']) }
}

test('an agent without a bus lives and is not ready, and says which bus', () => {
  const { health } = agent()
  expect([health.live().ok, health.ready()]).toEqual([true, { ok: false, detail: 'NATS at a:4222, b:4222 is not connected' }])
  health.bus = { state: () => 'down', detail: () => 'refused' }
  expect(health.ready()).toEqual({ ok: false, detail: 'refused' })
  health.bus = { state: () => 'up', detail: () => '' }
  expect(health.ready().ok).toBe(true)
})

test('one whose samples stand still neither lives nor is ready; one that has not begun has time', () => {
  const { clock, health } = agent()
  health.bus = { state: () => 'up', detail: () => '' }
  clock.at = millis(10 * limits.lookSilenceMax)
  expect(health.live().ok).toBe(true)
  health.looked()
  clock.at = millis(clock.at + limits.lookSilenceMax + 1)
  expect([health.live(), health.ready()].map(({ detail }) => detail)).toEqual(Array(2).fill('the samples stand still'))
  health.looked()
  expect(health.ready().ok).toBe(true)
})
