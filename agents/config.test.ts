import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { readConfig } from './config.ts'

const agent = (...argv: string[]) => readConfig(['--node', 'gpu-a', ...argv])

test('an agent without a server reports GPUs only', () => {
  expect(agent()).toMatchObject({
    node: 'gpu-a',
    zone: 'default',
    bus: { servers: ['127.0.0.1:4222'], credsFile: undefined, tls: undefined },
    nvidiaSmi: 'nvidia-smi',
    servers: [],
  })
})

const FLAGS_ONLY = {
  name: 'triton',
  kind: 'triton',
  grpc: '10.0.0.7:8001',
  http: '10.0.0.7:8000',
  metricsUrl: 'http://10.0.0.7:8002/metrics',
  advertise: '10.0.0.7:8001',
}

test("Triton's own ports stand beside its gRPC address when nothing else is said", () => {
  expect(agent('--server-grpc', '10.0.0.7:8001').servers).toMatchObject([FLAGS_ONLY])
})

test('lists have commas between', () => {
  expect(agent('--server-grpc', 'h:1', '--models', 'a, b,', '--gpus', 'GPU-1').servers).toMatchObject([
    { models: ['a', 'b'], gpus: ['GPU-1'] },
  ])
})

const folder = mkdtempSync(join(tmpdir(), 'millrace-agent-config-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function inFile(text: string): string {
  const path = join(folder, 'agent.yaml')
  writeFileSync(path, text)
  return path
}

test('a file tells of several servers, each with what differs from the usual, beside the one of the flags', () => {
  const path = inFile(`
node: from-file
servers:
  - name: left
    grpc: 127.0.0.1:9001
    http: 127.0.0.1:9000
    metrics: http://127.0.0.1:9002/metrics
    gpus: [0, 1]
    models: llm, echo
  - { name: right, grpc: 127.0.0.1:9101, http: 127.0.0.1:9100, metrics: 'http://127.0.0.1:9102/metrics', capacity: 4 }
`)
  const { node, servers } = agent('--config', path, '--server-grpc', '10.0.0.7:8001')
  expect(node).toBe('gpu-a')
  expect(servers).toMatchObject([
    FLAGS_ONLY,
    { name: 'left', advertise: '127.0.0.1:9001', gpus: ['0', '1'], models: ['llm', 'echo'], capacity: undefined },
    { name: 'right', http: '127.0.0.1:9100', gpus: undefined, capacity: 4 },
  ])
})

test('a file tells how a server is probed', () => {
  const probe = (text: string) => agent('--config', inFile(`servers:\n  - probe: ${text}`)).servers[0]?.probe
  expect(probe('off')).toMatchObject({ deep: false })
  expect(probe('deep')).toMatchObject({ deep: true, period: 10_000, timeout: 5_000, questions: {} })
  const given = '{ everyMs: 30000, models: { a: off, b: { inputs: [{ name: x, datatype: FP32, shape: [1], data: [0] }] } } }'
  expect(probe(given)).toMatchObject({
    deep: true,
    period: 30_000,
    timeout: 5_000,
    questions: { a: 'off', b: { inputs: [{ name: 'x' }] } },
  })
  expect(probe('{ models: { m: { path: /v1/models/m:predict, body: { instances: [1] } } } }')).toMatchObject({
    questions: { m: { path: '/v1/models/m:predict', body: { instances: [1] } } },
  })
})

test.each([
  ['servers:\n  - name: a\n    probe: often', /agent\.yaml:3: servers\[0\]\.probe: wants off, deep, or/],
  [
    'servers:\n  - name: a\n    probe: { every: 3 }',
    /agent\.yaml:3: servers\[0\]\.probe\.every: there is no such field; known are everyMs, timeoutMs, models/,
  ],
  [
    'servers:\n  - probe:\n      models:\n        m:\n          inputs: [{ name: x, datatype: FP32, shape: [2], data: [0] }]',
    /agent\.yaml:5: servers\[0\]\.probe\.models\.m\.inputs\[0\]\.data: the shape holds 2 elements and data has 1/,
  ],
  ['servers:\n  - name: a\n    gprc: h:1', /agent\.yaml:3: servers\[0\]\.gprc: there is no such field; known are name, kind, grpc/],
  ['servers:\n  - name: a\n  - name: b\n    grpc: 8001', /agent\.yaml:4: servers\[1\]\.grpc: /],
  ['servers:\n  - name: a\n  - name: a', /agent\.yaml:3: servers\[1\]\.name: two servers are named a/],
  [
    'servers:\n  - {name: a}\n  - {name: b, grpc: "h:1"}\n  - {name: c, grpc: "h:2"}',
    /servers\[2\].*c and b would both be at h:8000; say which is where/,
  ],
  ['node: a\nnats: 4222', /agent\.yaml:2: nats: /],
  ['node: a\nserver: {}', /agent\.yaml:2: no setting "server"; there are node/],
  ['node: [', /agent\.yaml: /],
])('the file %j is refused with line, field and cure', (text, words) => {
  expect(() => readConfig(['--config', inFile(text)])).toThrow(words)
})

test.each([
  [['--node', 'a.b'], /--node "a\.b": wants letters/],
  [['--models', 'a'], /--models is about an inference server: say which by --server-grpc/],
  [['--server-http', '127.0.0.1:8000'], /--server-http is about an inference server/],
  [['--server-grpc', '8001'], /--server-grpc "8001": wants host:port/],
  [['--server-grpc', 'h:1', '--server-metrics', 'h:2'], /--server-metrics "h:2": wants a URL, for example http/],
  [['--server-grpc', 'h:1', '--models', ','], /--models ",": wants names/],
])('%j is refused with the cure', (argv, words) => {
  expect(() => agent(...argv)).toThrow(words)
})
