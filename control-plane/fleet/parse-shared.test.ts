import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { SharedOutcomes } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { parseShared } from './parse-shared.ts'

const bytes = (fields: Partial<SharedOutcomes>): Uint8Array =>
  SharedOutcomes.encode({ replicaId: 'r', sequence: 5n, proxyId: 'p', stream: 2n, news: undefined, ...fields }).finish()
const row = { endpointId: 'a/triton', inFlight: 1, successes: 2n, backpressures: 0n, failures: 3n, ejected: true }

test('news of a proxy, as it came', () => {
  expect(parseShared(bytes({ news: { $case: 'report', value: { endpoints: [row] } } }))).toEqual({
    replicaId: 'r',
    sequence: 5n,
    news: { kind: 'report', proxyId: 'p', stream: 2, report: { endpoints: [row] } },
  })
  expect(parseShared(bytes({ news: { $case: 'began', value: {} } }))?.news).toEqual({ kind: 'began', proxyId: 'p', stream: 2 })
  expect(parseShared(bytes({ proxyId: '', stream: 0n }))?.news).toEqual({ kind: 'alive' })
})

test.each<[string, Uint8Array]>([
  ['no message', Uint8Array.of(255, 255)],
  ['nobody says it', bytes({ replicaId: '', news: { $case: 'ended', value: {} } })],
  ['of nobody', bytes({ proxyId: '', news: { $case: 'ended', value: {} } })],
  ['news that a later one tells', bytes({})],
  ['a name without end', bytes({ proxyId: 'p'.repeat(limits.reportTextMax + 1), news: { $case: 'ended', value: {} } })],
  ['no number', bytes({ sequence: 0n, proxyId: '' })],
  ['a stream beyond counting', bytes({ stream: 2n ** 60n, news: { $case: 'ended', value: {} } })],
  ['too large', new Uint8Array(limits.sharedBytesMax + 1)],
])('%s is nothing', (_name, message) => {
  expect(parseShared(message)).toBeUndefined()
})
