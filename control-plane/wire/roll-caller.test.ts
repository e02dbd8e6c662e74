import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { NatsLinkState } from '../../core/edge/nats-link.ts'
import { limits } from '../../core/limits.ts'
import { RollCall } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { callRolls } from './roll-caller.ts'

let nodes: number | undefined
let called: RollCall[]
let become: (state: NatsLinkState) => void
let stop: () => void

beforeEach(() => {
  vi.useFakeTimers()
  nodes = undefined
  called = []
  stop = callRolls({
    link: {
      publish: (_, message) => {
        called.push(RollCall.decode(message))
        return 'handed-over'
      },
      onState: (listener) => {
        become = listener
      },
    },
    mesh: 'm',
    nodes: () => nodes,
  })
})
afterEach(() => {
  stop()
  vi.useRealTimers()
})

test('it calls at its start and at every return of the link, since it may have missed something', () => {
  become('down')
  become('up')
  expect(called).toEqual([
    { nodes: undefined, sizeOnly: false },
    { nodes: undefined, sizeOnly: false },
  ])
})

test('it tells how many they are once it has heard them all, and asks for nothing then', () => {
  called = []
  vi.advanceTimersByTime(limits.fleetSizePeriod)
  expect(called).toEqual([])
  nodes = 3_000
  vi.advanceTimersByTime(limits.fleetSizePeriod)
  expect(called).toEqual([{ nodes: 3_000, sizeOnly: true }])
})
