import { expect, test } from 'vitest'
import { EndpointReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { keptEndpoint } from './kept.ts'

const endpoint = (fields: Partial<EndpointReport> = {}): EndpointReport =>
  EndpointReport.fromPartial({
    ...{ id: 'a/t', address: 'h:1', models: ['m'], gpuUuids: ['GPU-1'], load: { running: 3 }, loadSources: { running: 'page' } },
    ...fields,
  })

test('what says the same stays the object that it was', () => {
  const served = endpoint()
  expect(keptEndpoint(served, endpoint())).toBe(served)
})

/** Each field that a report can have, changed. */
test.each(
  Object.entries(
    EndpointReport.fromPartial({
      ...{ id: 'x', address: 'x', protocol: 2, models: ['x'], gpuUuids: ['x', 'y'], gpuBinding: 1, health: 3, healthReason: 'x' },
      ...{ probeLatencyMs: 9, capacity: 9, load: { running: 9 }, serverKind: 'x', loadSources: { running: 'x' } },
    }),
  ),
)('an endpoint of which %s changed is what was said last', (field, value) => {
  expect(keptEndpoint(endpoint(), endpoint({ [field]: value }))).toEqual(endpoint({ [field]: value }))
})

test('lists and loads that did not change stay, whatever else did', () => {
  const before = endpoint()
  const after = keptEndpoint(before, endpoint({ capacity: 5 }))
  expect(
    [after.models, after.gpuUuids, after.load, after.loadSources].map(
      (part, at) => part === [before.models, before.gpuUuids, before.load, before.loadSources][at],
    ),
  ).toEqual([true, true, true, true])
  expect(keptEndpoint(before, endpoint({ load: undefined })).load).toBeUndefined()
})
