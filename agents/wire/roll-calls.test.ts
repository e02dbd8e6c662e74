import { expect, test } from 'vitest'
import { fleetSpread } from '../../core/spread.ts'
import { RollCall } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { RollCalls } from './roll-calls.ts'

const call = (fields: Partial<RollCall>): Uint8Array => RollCall.encode(RollCall.fromPartial(fields)).finish()

test('the newest word on how many they are holds, and a call that does not say leaves it', () => {
  const calls = new RollCalls()
  expect(calls.spread()).toBe(fleetSpread(undefined))
  expect(calls.heard(call({ nodes: 3_000, sizeOnly: true }))).toBe(false)
  expect(calls.spread()).toBe(fleetSpread(3_000))
  expect(calls.heard(call({}))).toBe(true)
  expect(calls.spread()).toBe(fleetSpread(3_000))
})

test('an empty call and bytes that are none are calls', () => {
  expect([new Uint8Array(0), new Uint8Array([0xff])].map((message) => new RollCalls().heard(message))).toEqual([true, true])
})
