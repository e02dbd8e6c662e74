import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { createLog } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import type { ServerKind } from '../backend/kinds.ts'
import { specOf } from '../discovery/server-spec.ts'
import { type LoadScraper, loadScraper, type Scrape } from './scrape-load.ts'

type Fake = {
  readonly scraper: LoadScraper
  readonly scrapes: Scrape[]
  readonly asked: string[]
  now: number
  pages: Record<string, string>
}

/** A server of the kind that has these pages, by path, and answers 404 to all else. Its clock stands still. */
async function startServer(kind: ServerKind, pages: Record<string, string>): Promise<Fake> {
  const server = createServer(({ url = '' }, response) => {
    fake.asked.push(url)
    const page = fake.pages[url]
    response.writeHead(page === undefined ? 404 : 200).end(page)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const scrapes: Scrape[] = []
  const fake: Fake = {
    scraper: loadScraper({
      id: 'gpu-a/server',
      spec: specOf({ kind, http: at, management: at, metrics: `http://${at}/metrics` }),
      clock: { now: () => millis(fake.now) },
      log: createLog('test', 'silent'),
      onScrape: (scrape) => scrapes.push(scrape),
    }),
    scrapes,
    asked: [],
    now: 0,
    pages,
  }
  return fake
}

const job = (pendingRequests: number): string =>
  JSON.stringify([{ batchSize: 1, workers: [{ status: 'READY' }], jobQueueStatus: { pendingRequests } }])

test('TorchServe is asked for the queue of each of its models, also when it has no metrics page', async () => {
  const server = await startServer('torchserve', { '/models/a': job(2), '/models/b%2Fc': job(3) })
  await server.scraper.scrape(['a', 'b/c'])
  expect(server.scraper.load()).toEqual({
    load: { queueDepth: 5 },
    capacity: 2,
    sources: { queueDepth: '/models jobQueueStatus.pendingRequests', capacity: '/models workers × batchSize' },
  })
  expect(server.scrapes).toEqual(['status'])
})

test.each([
  ['nobody knows which', ['*']],
  ['there are too many', Array.from({ length: limits.loadPagesMax + 1 }, (_, model) => `m${model}`)],
])('TorchServe is not asked for the queues of its models when %s', async (_, models) => {
  const server = await startServer('torchserve', { '/metrics': 'ts_inference_requests_total{model_name="a"} 1' })
  await server.scraper.scrape(models)
  expect(server.asked).toEqual(['/metrics'])
  expect(server.scraper.load().load).toEqual({})
})

test('what lasts is asked for once in a while, what changes at every turn', async () => {
  const server = await startServer('tgi', { '/metrics': 'tgi_queue_size 1', '/info': '{"max_concurrent_requests":128}' })
  for (server.now = 0; server.now < limits.fullReportPeriod; server.now += 1_000) await server.scraper.scrape([])
  expect(server.asked.filter((url) => url === '/info')).toHaveLength(1)
  expect(server.asked.filter((url) => url === '/metrics')).toHaveLength(10)
  await server.scraper.scrape([])
  expect(server.asked.filter((url) => url === '/info')).toHaveLength(2)
  expect(server.scraper.load()).toMatchObject({ load: { queueDepth: 1 }, capacity: 128 })
})

test('a load that was not read for too long is unknown, with its sources', async () => {
  const server = await startServer('vllm', { '/metrics': 'vllm:num_requests_waiting{model_name="m"} 7' })
  await server.scraper.scrape([])
  server.pages = {}
  server.now = limits.loadAgeMax
  await server.scraper.scrape([])
  expect(server.scraper.load()).toMatchObject({ load: { queueDepth: 7 } })
  server.now++
  expect(server.scraper.load()).toEqual({ load: {}, sources: {} })
  expect(server.scrapes).toEqual(['read', 'status'])
})

test('a large page is not read at every turn', async () => {
  const server = await startServer('vllm', {
    '/metrics': `vllm:num_requests_waiting{model_name="m"} 7\n${'# about\n'.repeat(limits.largePage / 8)}`,
  })
  for (; server.now < 3_000; server.now += 250) await server.scraper.scrape([])
  expect(server.asked).toHaveLength(4)
  expect(server.scraper.load().load).toEqual({ queueDepth: 7 })
  server.pages = { '/metrics': 'vllm:num_requests_waiting{model_name="m"} 8' }
  for (; server.now < 6_000; server.now += 250) await server.scraper.scrape([])
  expect(server.asked).toHaveLength(4 + 12)
})

test('a page with more samples than are kept is counted, and says nothing', async () => {
  const page = Array.from({ length: limits.metricSamplesMax + 1 }, (_, model) => `vllm:num_requests_waiting{model_name="${model}"} 7`)
  const server = await startServer('vllm', { '/metrics': page.join('\n') })
  await server.scraper.scrape([])
  expect(server.scrapes).toEqual(['too-many-samples'])
  expect(server.scraper.load()).toEqual({ load: {}, sources: {} })
})
