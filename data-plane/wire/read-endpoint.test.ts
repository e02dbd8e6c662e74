import { expect, test } from 'vitest'
import { Endpoint, EndpointState } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { Protocol } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { readEndpoint } from './read-endpoint.ts'

const wire = (fields: Partial<Endpoint>): Endpoint =>
  Endpoint.fromPartial({
    id: 'a/x',
    address: '127.0.0.1:1',
    models: ['m'],
    weight: 100,
    state: EndpointState.ENDPOINT_STATE_READY,
    ...fields,
  })

test.each([
  [Protocol.PROTOCOL_UNSPECIFIED, 'KSERVE_GRPC'],
  [Protocol.PROTOCOL_KSERVE_GRPC, 'KSERVE_GRPC'],
  [Protocol.PROTOCOL_GRPC, 'GRPC'],
  [Protocol.PROTOCOL_HTTP, 'HTTP'],
])('protocol %d is %s', (protocol, name) => {
  expect(readEndpoint(wire({ protocol }))).toMatchObject({ id: 'a/x', protocol: name, models: ['m'], state: 'READY', freshness: 'fresh' })
})

test.each<[string, Partial<Endpoint>, string]>([
  ['without an address', { address: '' }, 'without an address'],
  ['in a state of tomorrow', { state: 99 as EndpointState }, 'a/x: a state'],
  ['that speaks what nobody here knows', { protocol: 99 as Protocol }, 'a/x: a protocol'],
  ['of a weight that is none', { weight: Number.NaN }, 'a/x: weight NaN'],
  ['whose slow start would take it for endlessly fast', { slowStart: 0 }, 'a/x: slow start 0'],
])('an endpoint %s is refused in words', (_, fields, words) => {
  expect(readEndpoint(wire(fields))).toContain(words)
})

test('slow start is told where there is one', () => {
  expect(readEndpoint(wire({ slowStart: 0.1 }))).toMatchObject({ weight: 100, slowStart: 0.1 })
  expect(readEndpoint(wire({}))).not.toHaveProperty('slowStart')
})
