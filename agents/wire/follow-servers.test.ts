import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createLog } from '../../core/edge/log.ts'
import { systemClock } from '../../core/edge/system-clock.ts'
import type { ServerSpec } from '../discovery/server-spec.ts'
import { findServers } from './find-servers.ts'
import { followServers } from './follow-servers.ts'

const soon = { timeout: 20_000, interval: 20 }
const log = createLog('test', 'silent')

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'millrace-servers-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

function follow(serversFrom: string) {
  let names: string[] = []
  const sources = { servers: [], serversFrom, discover: false, advertiseHost: '10.0.0.9' }
  let specs: readonly ServerSpec[] = []
  const followed = followServers(sources, systemClock, log, (now) => {
    specs = now
    names = now.map(({ name, advertise }) => `${name} ${advertise}`)
  })
  onTestFinished(() => followed.close())
  return { followed, names: () => names, specs: () => specs }
}

/** As orchestrators do: never half a file. */
function put(path: string, text: string): void {
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
}

test('servers come and go with the files of a folder, and a bad file keeps what it said', async () => {
  const path = folder()
  mkdirSync(join(path, 'not-a-file.d'))
  put(join(path, 'a.yaml'), 'servers: [{ name: a, kind: vllm, http: 127.0.0.1:9000 }]')
  const { followed, names } = follow(path)
  expect(names()).toEqual(['a 10.0.0.9:9000'])
  put(
    join(path, 'b.json'),
    '{"containers":[{"name":"b","labels":{"millrace.kind":"tgi"},"ports":[{"container":3000,"host":31000}]},{"name":"db","labels":{}}]}',
  )
  await expect.poll(names, soon).toEqual(['a 10.0.0.9:9000', 'b 10.0.0.9:31000'])

  put(join(path, 'a.yaml'), 'servers:\n  - name: a\n    kind: vlm\n')
  await expect.poll(followed.problems, soon).toEqual([expect.stringMatching(/a\.yaml:3: servers\[0\]\.kind: /)])
  expect(names()).toEqual(['a 10.0.0.9:9000', 'b 10.0.0.9:31000'])

  put(join(path, 'a.yaml'), 'containers: [{ name: a, labels: { millrace.kind: sglang, millrace.advertise: "h:1" } }]')
  await expect.poll(names, soon).toEqual(['a h:1', 'b 10.0.0.9:31000'])
  expect(followed.problems()).toEqual([])
  rmSync(join(path, 'b.json'))
  await expect.poll(names, soon).toEqual(['a h:1'])
})

test('the one file that was named may come later, and keeps what it said when it goes', async () => {
  const path = join(folder(), 'servers.yaml')
  const { followed, names } = follow(path)
  expect(names()).toEqual([])
  expect(followed.problems()).toEqual([expect.stringMatching(/no such file/)])
  put(path, 'servers: [{ kind: vllm }]')
  await expect.poll(names, soon).toEqual(['vllm 10.0.0.9:8000'])
  rmSync(path)
  await expect.poll(followed.problems, soon).toHaveLength(1)
  expect(names()).toEqual(['vllm 10.0.0.9:8000'])
})

test.each([
  ['containers: [{ name: c, labels: { millrace.kind: tritn } }]', /:1: containers\[0\]\.labels\.millrace\.kind: wants one of triton/],
  [
    'containers:\n  - name: c\n    labels: {}\n    label: {}',
    /:4: containers\[0\]\.label: there is no such field; known are name, address, labels, ports/,
  ],
  ['server: []', /:1: server: there is no such field; known are servers, containers/],
  ['- name: a', /servers\.yaml:1: /],
])('the file %j is refused with its line and field', (text, words) => {
  const path = join(folder(), 'servers.yaml')
  put(path, text)
  expect(follow(path).followed.problems()).toEqual([expect.stringMatching(words)])
})

test('a server on a usual port is found by what it answers, a stranger is not, and what was told of is not asked', async () => {
  const asked: string[] = []
  const start = async (answers: Record<string, string>): Promise<number> => {
    const server = createServer((request, response) => {
      asked.push(`${request.socket.localPort} ${request.url}`)
      const body = answers[request.url ?? '']
      response.writeHead(body === undefined ? 404 : 200).end(body)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    return (server.address() as AddressInfo).port
  }
  const vllm = await start({ '/v1/models': '{"data":[{"id":"m","owned_by":"vllm"}]}' })
  const stranger = await start({ '/': 'hello' })
  const told = await start({ '/-/healthz': 'success' })
  const finder = findServers({
    clock: systemClock,
    log,
    taken: () => new Set([`127.0.0.1:${told}`]),
    onChange: () => {},
    ports: [vllm, stranger, told],
  })
  onTestFinished(() => finder.close())
  await finder.look()
  expect(finder.found()).toEqual([{ name: `vllm-${vllm}`, kind: 'vllm', http: `127.0.0.1:${vllm}` }])
  expect(asked.some((one) => one.startsWith(String(told)))).toBe(false)
})
