import { expect, test } from 'vitest'
import { parseStaticFile } from './static-file.ts'

const fileWith = (admission: object): string =>
  `{ "models": [\n  { "name": "llm",\n    "admission": ${JSON.stringify(admission)} } ],\n  "endpoints": [] }`
const BANDS = { priorityKey: 'x-priority', bands: ['interactive', 'batch'] }

test.each([
  ['nothing but that there is a queue', {}],
  [
    'all that there is',
    {
      headroom: 1.5,
      queueMax: 0,
      queueBytesMax: 1e6,
      maxWaitMs: 500,
      ...BANDS,
      defaultBand: 'batch',
      tenantKey: 'x-tenant',
      weights: { 'team a': 2.5 },
    },
  ],
] as const)('a row may say %s', (_what, admission) => {
  expect(parseStaticFile(fileWith(admission), 'mesh.json').models[0]?.admission).toEqual(admission)
})

test.each([
  ['a field that does not exist', { concurency: 4 }, 'concurency: there is no such field; known are concurrency, headroom'],
  ['room for nobody', { concurrency: 0 }, 'concurrency: '],
  ['half a request', { concurrency: 1.5 }, 'concurrency: '],
  ['less than endpoints can take', { headroom: 0.5 }, 'headroom: '],
  ['a headroom for a number that is exact', { concurrency: 4, headroom: 2 }, 'headroom: goes with the capacities of endpoints'],
  ['a wait of a day', { maxWaitMs: 86_400_000 }, 'maxWaitMs: '],
  ['bands that no request can name', { bands: ['a', 'b'] }, 'bands: needs priorityKey'],
  ['a key without bands', { priorityKey: 'x-priority' }, 'priorityKey: needs two bands or more'],
  ['a band twice', { ...BANDS, bands: ['a', 'a'] }, 'bands: wants each band once'],
  ['a band that is a number', { ...BANDS, bands: ['1', '0'] }, 'bands[0]: wants a name that is no number'],
  ['a default that is no band', { ...BANDS, defaultBand: 'bulk' }, 'defaultBand: wants one of the bands: interactive, batch'],
  ['weights of nobody', { weights: { a: 1 } }, 'weights: needs tenantKey'],
  ['a weight of nothing', { tenantKey: 'x-tenant', weights: { a: 0 } }, 'weights.a: '],
  ['a key that is no metadata', { tenantKey: 'X-Tenant' }, 'tenantKey: wants a metadata key'],
  ['a key that the proxy drops', { tenantKey: 'x-millrace-tenant' }, 'tenantKey: wants a text key of the application'],
  ['a key of bytes', { tenantKey: 'tenant-bin' }, 'tenantKey: wants a text key of the application'],
] as const)('%s is named with its line and field', (_what, admission, complaint) => {
  expect(() => parseStaticFile(fileWith(admission), 'mesh.json')).toThrow(`mesh.json:3: models[0].admission.${complaint}`)
})
