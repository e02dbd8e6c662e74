/** Every kind of path, and what it begins. */
import { expect, test } from 'vitest'
import { METHODS } from '../grpc/methods.ts'
import { identify } from './identify.ts'

const KSERVE = '/inference.GRPCInferenceService/'
const routing = { routeOf: (path: string) => (path.startsWith('/any.Service/') || path.startsWith('/grpc.') ? 'llm' : undefined) }

test.each([
  [`${KSERVE}ModelInfer`, { kind: 'by-model', streaming: false, infers: true }],
  ['/millrace.inference.v1.InferenceService/StreamInfer', { kind: 'by-model', streaming: true }],
  [`${KSERVE}ModelConfig`, { kind: 'by-model', infers: false }],
  [`${KSERVE}ServerMetadata`, { kind: 'any' }],
  [`${KSERVE}ServerReady`, { kind: 'local', answer: 'server-ready' }],
  ['/any.Service/Call', { kind: 'route', model: 'llm' }],
  // A route whose prefix covers the proxy's own services does not get them.
  ['/grpc.health.v1.Health/Check', { kind: 'own', method: 'health-check' }],
  [`${KSERVE}RepositoryModelLoad`, { kind: 'not-served', reason: 'method-off', detail: expect.stringContaining('millrace admin nodes') }],
  ['/no.Service/Call', { kind: 'not-served', reason: 'unknown-method', detail: expect.stringContaining('add one under "routes"') }],
])('%s is what its path says', (path, wanted) => {
  expect(identify(path, routing)).toMatchObject(wanted)
})

test('a known method is told as it stands in the table, so that it costs nothing', () => {
  for (const [path, method] of METHODS) if (method.kind !== 'off') expect(identify(path, routing)).toBe(method)
})
