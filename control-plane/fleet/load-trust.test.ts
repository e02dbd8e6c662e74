import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import type { EndpointLoad } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { type LoadTrust, stepTrust } from './load-trust.ts'

const IDLE: EndpointLoad = { running: 0, queueDepth: 0 }
const BUSY = limits.idleLieInFlight

/** What is said, and what proxies hold, a second apart. */
function play(...said: readonly (readonly [EndpointLoad | undefined, number])[]): string {
  let trust: LoadTrust
  return said
    .map(([load, inFlight], at) => {
      trust = stepTrust(trust, load, inFlight, millis(at * 1000))
      return trust?.withheld === true ? 'x' : '.'
    })
    .join('')
}
const times = <T>(count: number, one: T): readonly T[] => Array.from({ length: count }, () => one)

test.each([
  ['idle, and nobody waits for it', times(9, [IDLE, 0] as const), '.........'],
  ['idle while proxies wait, for longer than chance', times(7, [IDLE, BUSY] as const), '.....xx'],
  ['its queue alone is known: nothing is said of what it runs', times(9, [{ queueDepth: 0 }, BUSY] as const), '.........'],
  ['unknown is not idle', times(9, [undefined, BUSY] as const), '.........'],
  [
    'one honest word in between',
    [...times(4, [IDLE, BUSY] as const), [{ running: 3 }, BUSY] as const, ...times(4, [IDLE, BUSY] as const)],
    '.........',
  ],
  ['a moment without requests', [...times(4, [IDLE, BUSY] as const), [IDLE, 0] as const, ...times(4, [IDLE, BUSY] as const)], '.........'],
  [
    'once caught it has to say something else',
    [...times(6, [IDLE, BUSY] as const), [IDLE, 0] as const, [{ running: 1 }, 0] as const],
    '.....xx.',
  ],
] as const)('%s', (_name, said, seen) => {
  expect(play(...said)).toBe(seen)
})
