import { expect, test } from 'vitest'
import { UsageError } from '../../core/edge/settings.ts'
import { parseStaticFile } from './static-file.ts'

const GOOD = `{ "models": [ { "name": "llm", "policy": "ROUND_ROBIN" } ],
  "routes": [ { "prefix": "/grpc.testing.TestService/", "model": "interop" } ],
  "endpoints": [ { "id": "gpu-a/triton", "node": "gpu-a", "zone": "z1", "address": "127.0.0.1:8001",
                   "protocol": "KSERVE_GRPC", "models": ["*"], "weight": 100, "state": "READY", "capacity": 64 },
                 { "id": "b", "address": "unix:/run/b.sock" } ] }`

test('a snapshot is read, with defaults for what is left out', () => {
  const snapshot = parseStaticFile(GOOD, 'mesh.json')
  expect(snapshot.models).toEqual([{ name: 'llm', policy: 'ROUND_ROBIN' }])
  expect(snapshot.endpoints[1]).toEqual({
    id: 'b',
    node: '',
    zone: '',
    address: 'unix:/run/b.sock',
    protocol: 'KSERVE_GRPC',
    models: ['*'],
    weight: 100,
    state: 'READY',
    capacity: 0,
    freshness: 'fresh',
  })
})

test('rows say where requests go; a target needs a row or an endpoint that names it', () => {
  const row =
    '{ "name": "b", "aliases": ["x"], "split": [ { "weight": 9 }, { "model": "served", "version": "2", "weight": 1 } ], "fallbacks": ["llm"] }'
  const text = GOOD.replace('ROUND_ROBIN" }', `ROUND_ROBIN" }, ${row}`).replace('["*"]', '["served@2"]')
  expect(parseStaticFile(text, 'mesh.json').models[1]).toMatchObject({ aliases: ['x'], fallbacks: ['llm'] })
  expect(() => parseStaticFile(text.replace('served@2', '*'), 'mesh.json')).toThrow('names a model "served"')
})

const ordered = (zones: string): string => GOOD.replace('{ "models"', `{ "zones": { ${zones} }, "models"`)

test('for proxies of a zone the order may be said in which others help out', () => {
  expect(parseStaticFile(ordered('"z1": [["z2"], ["z3", "z4"]], "z2": []'), 'mesh.json').zones).toEqual({
    z1: [['z2'], ['z3', 'z4']],
    z2: [],
  })
})

test('a model may limit its attempts', () => {
  const text = GOOD.replace('"policy"', '"timeouts": { "firstByteMs": 20000, "idleMs": 5000 }, "policy"')
  expect(parseStaticFile(text, 'mesh.json').models[0]?.timeouts).toEqual({ firstByteMs: 20_000, idleMs: 5_000 })
})

test('a model may say how often, and when twice, a request is sent', () => {
  const text = GOOD.replace('"policy"', '"retry": { "attempts": 2 }, "hedge": { "quantile": 0.95 }, "policy"')
  expect(parseStaticFile(text, 'mesh.json').models[0]).toMatchObject({ retry: { attempts: 2 }, hedge: { quantile: 0.95 } })
})

test.each([
  ['{ "header": "x-user" }', { header: 'x-user' }],
  ['{ "parameter": "user_id" }', { parameter: 'user_id' }],
  ['{ "header": "x-millrace-session" }', { header: 'x-millrace-session' }],
])('a model may say by what its requests belong together: %s', (text, hashOn) => {
  const row = parseStaticFile(GOOD.replace('"policy"', `"hashOn": ${text}, "pin": true, "policy"`), 'mesh.json').models[0]
  expect(row).toEqual({ name: 'llm', policy: 'ROUND_ROBIN', hashOn, pin: true })
})

test.each([
  [
    'a field that does not exist',
    GOOD.replace('"zone"', '"zoen"'),
    'mesh.json:3: endpoints[0].zoen: there is no such field; known are id, node',
  ],
  ['a policy that does not exist', GOOD.replace('ROUND_ROBIN', 'ROUND_ROBBIN'), 'mesh.json:1: models[0].policy: '],
  ['an address without a port', GOOD.replace('127.0.0.1:8001', 'gpu-a'), 'mesh.json:3: endpoints[0].address: wants host:port'],
  ['a state that does not exist', GOOD.replace('"READY"', '"READDY"'), 'mesh.json:4: endpoints[0].state: '],
  ['a protocol that does not exist', GOOD.replace('KSERVE_GRPC', 'KSERVE'), 'mesh.json:4: endpoints[0].protocol: '],
  ['a negative weight', GOOD.replace('"weight": 100', '"weight": -1'), 'mesh.json:4: endpoints[0].weight: '],
  ['a missing address', GOOD.replace(', "address": "unix:/run/b.sock"', ''), 'mesh.json:5: endpoints[1].address: '],
  ['an id that stands twice', GOOD.replace('"id": "b"', '"id": "gpu-a/triton"'), 'mesh.json:5: endpoint id gpu-a/triton stands twice'],
  [
    'a top-level typo',
    GOOD.replace('"routes"', '"route"'),
    'mesh.json:2: route: there is no such field; known are models, routes, zones, endpoints',
  ],
  [
    'a timeout that does not exist',
    GOOD.replace('"policy"', '"timeouts": { "totalMs": 5 }, "policy"'),
    'mesh.json:1: models[0].timeouts.totalMs: there is no such field; known are perTryMs, firstByteMs, idleMs',
  ],
  [
    'a key of two kinds',
    GOOD.replace('"policy"', '"hashOn": { "header": "x-a", "parameter": "b" }, "policy"'),
    'mesh.json:1: models[0].hashOn: wants either a header or a parameter',
  ],
  [
    'a key of no kind',
    GOOD.replace('"policy"', '"hashOn": {}, "policy"'),
    'mesh.json:1: models[0].hashOn: wants either a header or a parameter',
  ],
  [
    'a key by what does not exist',
    GOOD.replace('"policy"', '"hashOn": { "cookie": "a" }, "policy"'),
    'mesh.json:1: models[0].hashOn.cookie: there is no such field; known are header, parameter',
  ],
  [
    'a header that no request carries',
    GOOD.replace('"policy"', '"hashOn": { "header": "X-User" }, "policy"'),
    'mesh.json:1: models[0].hashOn.header: wants the name of a header field in small letters',
  ],
  [
    'a header that clients may not set',
    GOOD.replace('"policy"', '"hashOn": { "header": "x-millrace-hop" }, "policy"'),
    'mesh.json:1: models[0].hashOn.header: of the fields x-millrace-* a client may set x-millrace-session only',
  ],
  [
    'a parameter without a name',
    GOOD.replace('"policy"', '"hashOn": { "parameter": "" }, "policy"'),
    'mesh.json:1: models[0].hashOn.parameter: wants the name of a request parameter',
  ],
  [
    'a prompt without a policy that asks for it',
    GOOD.replace('"policy"', '"prompt": { "input": "text_input" }, "policy"'),
    'mesh.json:1: models[0].prompt: is for the policy PREFIX',
  ],
  [
    'a prompt in no tensor',
    GOOD.replace('"policy": "ROUND_ROBIN"', '"prompt": { "input": "" }, "policy": "PREFIX"'),
    'mesh.json:1: models[0].prompt.input: wants the name of a tensor',
  ],
  [
    'a prompt in what does not exist',
    GOOD.replace('"policy": "ROUND_ROBIN"', '"prompt": { "input": "x", "tensor": "y" }, "policy": "PREFIX"'),
    'mesh.json:1: models[0].prompt.tensor: there is no such field; known are input',
  ],
  [
    'an adapter of an adapter',
    GOOD.replace('"models": [', '"models": [ { "name": "a", "adapterOf": "b" },\n { "name": "b", "adapterOf": "llm" },'),
    'mesh.json:1: models[0].adapterOf: wants the model below it, and b is an adapter itself',
  ],
  [
    'an adapter of itself',
    GOOD.replace('"policy"', '"adapterOf": "llm", "policy"'),
    'mesh.json:1: models[0].adapterOf: wants the model below it, and llm is an adapter itself',
  ],
  [
    'an adapter in two ways',
    GOOD.replace('"policy"', '"adapterOf": "base", "adapterParameter": "lora_name", "policy"'),
    'mesh.json:1: models[0].adapterParameter: is for the model below',
  ],
  ['a pin that is no yes or no', GOOD.replace('"policy"', '"pin": "llm", "policy"'), 'mesh.json:1: models[0].pin: '],
  ['no attempt at all', GOOD.replace('"policy"', '"retry": { "attempts": 0 }, "policy"'), 'mesh.json:1: models[0].retry.attempts: '],
  [
    'more attempts than are allowed',
    GOOD.replace('"policy"', '"retry": { "attempts": 9 }, "policy"'),
    'mesh.json:1: models[0].retry.attempts: ',
  ],
  [
    'a retry field that does not exist',
    GOOD.replace('"policy"', '"retry": { "attempts": 2, "tries": 2 }, "policy"'),
    'mesh.json:1: models[0].retry.tries: there is no such field; known are attempts',
  ],
  [
    'a hedge without a time',
    GOOD.replace('"policy"', '"hedge": {}, "policy"'),
    'mesh.json:1: models[0].hedge: wants either afterMs or quantile',
  ],
  [
    'a hedge with two',
    GOOD.replace('"policy"', '"hedge": { "afterMs": 5, "quantile": 0.9 }, "policy"'),
    'mesh.json:1: models[0].hedge: wants either afterMs or quantile',
  ],
  ['a quantile in percent', GOOD.replace('"policy"', '"hedge": { "quantile": 95 }, "policy"'), 'mesh.json:1: models[0].hedge.quantile: '],
  ['a timeout of nothing', GOOD.replace('"policy"', '"timeouts": { "idleMs": 0 }, "policy"'), 'mesh.json:1: models[0].timeouts.idleMs: '],
  [
    'a TLS field that does not exist',
    GOOD.replace('"zone"', '"tls": { "caFile": "x" }, "zone"'),
    'mesh.json:3: endpoints[0].tls.caFile: there is no such field; known are ca, cert, key, serverName, identity',
  ],
  [
    'a certificate without its key',
    GOOD.replace('"zone"', '"tls": { "cert": "x" }, "zone"'),
    'mesh.json:3: endpoints[0].tls: cert and key need one another',
  ],
  [
    'an identity that says nothing',
    GOOD.replace('"zone"', '"tls": { "identity": "spiffe://*" }, "zone"'),
    'mesh.json:3: endpoints[0].tls.identity: a URI is exact, or ends in /*',
  ],
  ...(
    [
      ['a row that stands twice', '{ "name": "llm" }', 'models[1].name: a row for "llm" stands above already'],
      ['an alias that is a row', '{ "name": "b", "aliases": ["llm"] }', `models[1].aliases[0]: "llm" is the name of a row`],
      ['its own name as an alias', '{ "name": "b", "aliases": ["x", "b"] }', `models[1].aliases[1]: "b" is the name of a row`],
      [
        'an alias that stands twice',
        '{ "name": "b", "aliases": ["x"] }, { "name": "c", "aliases": ["x"] }',
        'models[2].aliases[0]: "x" is an alias of "b" already',
      ],
      [
        'a split to a stranger',
        '{ "name": "b", "split": [ { "weight": 9 }, { "model": "lmm", "weight": 1 } ] }',
        'models[1].split[1].model: no row and no endpoint names a model "lmm": add a row { "name": "lmm" }',
      ],
      [
        'weights that are all zero',
        '{ "name": "b", "split": [ { "weight": 0 } ] }',
        'models[1].split: wants at least one part with a weight',
      ],
      ['a split of nothing', '{ "name": "b", "split": [] }', 'models[1].split: wants at least one part with a weight'],
      ['a negative share', '{ "name": "b", "split": [ { "weight": -1 } ] }', 'models[1].split[0].weight: '],
      ['a share without a weight', '{ "name": "b", "split": [ { "version": "1" } ] }', 'models[1].split[0].weight: '],
      ['a version that is a number', '{ "name": "b", "split": [ { "version": 1, "weight": 1 } ] }', 'models[1].split[0].version: '],
      [
        'a field of a share that does not exist',
        '{ "name": "b", "split": [ { "share": 1, "weight": 1 } ] }',
        'models[1].split[0].share: there is no such field; known are model, version, weight',
      ],
      [
        'splits in a circle',
        '{ "name": "b", "split": [ { "model": "c", "weight": 1 } ] }, { "name": "c", "aliases": ["cc"], "split": [ { "model": "d", "weight": 1 } ] }, { "name": "d", "split": [ { "weight": 1 }, { "model": "b", "weight": 1 } ] }',
        'models[3].split[1].model: the split leads back: b → c → d → b',
      ],
      [
        'a fall-back to a stranger',
        '{ "name": "b", "fallbacks": ["llm", "x"] }',
        'models[1].fallbacks[1]: no row and no endpoint names a model "x"',
      ],
      [
        'a model that stands in for itself',
        '{ "name": "b", "aliases": ["bb"], "fallbacks": ["bb"] }',
        'models[1].fallbacks[0]: "b" cannot stand in for itself',
      ],
    ] as const
  ).map(([name, rows, complaint]) => [name, GOOD.replace('ROUND_ROBIN" }', `ROUND_ROBIN" },\n  ${rows}`), `mesh.json:2: ${complaint}`]),
  ['a zone that helps itself', ordered('"z1": [["z1"]]'), 'mesh.json:1: zones.z1[0][0]: its own zone is near already: name others only'],
  ['a zone that helps out twice', ordered('"z1": [["z2"], ["z3", "z2"]]'), 'mesh.json:1: zones.z1[1][1]: zone z2 stands twice'],
  ['a level without a zone', ordered('"z1": [[]]'), 'mesh.json:1: zones.z1[0]: a level without a zone; leave it out'],
  ['a zone without a name', ordered('"z1": [[""]]'), 'mesh.json:1: zones.z1[0][0]: wants the name of a zone'],
  ['more levels than there are', ordered('"z1": [["a"], ["b"], ["c"], ["d"], ["e"]]'), 'mesh.json:1: zones.z1: more than 4 levels'],
  ['zones in no order', ordered('"z1": ["z2"]'), 'mesh.json:1: zones.z1[0]: '],
  ['a broken file', GOOD.slice(0, -3), 'mesh.json: '],
])('%s is named with its line and field', (_name, text, complaint) => {
  expect(() => parseStaticFile(text, 'mesh.json')).toThrow(complaint)
})

test('a file beside a control plane says models and routes, and no endpoints', () => {
  const text = '{ "models": [ { "name": "llm", "policy": "ROUND_ROBIN" } ] }'
  expect(parseStaticFile(text, 'models.json', 'models')).toMatchObject({ models: [{ name: 'llm' }], routes: [], endpoints: [] })
  expect(() => parseStaticFile(GOOD, 'models.json', 'models')).toThrow(
    'models.json:3: endpoints: there is no such field; known are models, routes, zones',
  )
  expect(() => parseStaticFile(text.replace('ROUND', 'SQUARE'), 'models.json', 'models')).toThrow('models.json:1: models[0].policy: ')
})

const ALIASES = [
  'a: &a [x]',
  ...Array.from({ length: 8 }, (_, i) => `${'bcdefghi'[i]}: &${'bcdefghi'[i]} [${`*${'abcdefgh'[i]},`.repeat(9)}]`),
]

test.each([
  ['an alias of nothing', 'endpoints: *nothing', 'mesh.yaml: Unresolved alias'],
  ['aliases that multiply', ALIASES.join('\n'), 'mesh.yaml: Excessive alias count'],
  ['nesting without end', '['.repeat(100_000), 'mesh.yaml: '],
  ['nesting without end that is JSON', `${'['.repeat(100_000)}${']'.repeat(100_000)}`, 'mesh.yaml: nested too deeply'],
])('%s is a complaint like any other', (_name, text, complaint) => {
  expect(() => parseStaticFile(text, 'mesh.yaml')).toThrow(UsageError)
  expect(() => parseStaticFile(text, 'mesh.yaml')).toThrow(complaint)
})

test.each([
  ['a key that stands twice', '{ "endpoints": [ { "id": "a", "address": "h:1", "id": "b" } ] }', 'mesh.json: '],
  ['a colon within a value', '{ "endpoints": [ { "id": "a\\":\\"", "address": "h:1", "zone": "\\"zone\\":" } ] }', undefined],
])('the quick way through JSON sees what the slow one sees: %s', (_name, text, complaint) => {
  if (complaint === undefined) expect(parseStaticFile(text, 'mesh.json').endpoints).toHaveLength(1)
  else expect(() => parseStaticFile(text, 'mesh.json')).toThrow(complaint)
})
