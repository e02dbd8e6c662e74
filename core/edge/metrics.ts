/** The metrics page and the health page of a plane, on one small HTTP listener. */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { listenOrExplain, splitHostPort } from './listen.ts'

export { Counter, Gauge, Histogram, Registry } from 'prom-client'

export type Health = { readonly ok: boolean; readonly detail: string }

export type HttpEndpoint = { readonly address: string; close(): Promise<void> }

/** Prometheus text, made when somebody looks. A registry is one. `more` is what follows in a long page: a piece in each turn of the event loop. */
export type MetricsPage = { readonly contentType: string; metrics(): Promise<string>; more?(): Iterable<string> }

export type PageAnswer = { readonly code: number; readonly text: string; readonly contentType?: string }

/** Another page by its path. `caller` is the address that asks. */
export type Pages = Readonly<Record<string, (asked: URLSearchParams, caller: string | undefined) => Promise<PageAnswer>>>

const ALIVE = (): Health => ({ ok: true, detail: 'ok' })

/** Serves GET /metrics (Prometheus text), /healthz (the process lives), /readyz (it can do its work), and what else a plane has to show. */
export async function serveMetrics(
  listen: string,
  metrics: MetricsPage,
  ready: () => Health,
  alive: () => Health = ALIVE,
  pages: Pages = {},
): Promise<HttpEndpoint> {
  const known = ['/metrics', '/healthz', ...Object.keys(pages)].join(', ')
  const server = createServer((request, response) => {
    const [path = '', query] = (request.url ?? '').split('?')
    const page = Object.hasOwn(pages, path) ? pages[path] : undefined
    if (path === '/metrics') void sendMetrics(metrics, response).catch((error: Error) => fail(response, error))
    else if (path === '/healthz' || path === '/readyz') {
      const health = path === '/healthz' ? alive() : ready()
      response.writeHead(health.ok ? 200 : 503).end(`${health.detail}\n`)
    } else if (page !== undefined)
      void page(new URLSearchParams(query), request.socket.remoteAddress).then(
        ({ code, text, contentType = 'text/plain' }) => response.writeHead(code, { 'content-type': contentType }).end(text),
        (error: Error) => fail(response, error),
      )
    else response.writeHead(404).end(`there are ${known} and /readyz\n`)
  })
  await listenOrExplain(server, listen, 'metrics and health')
  const { port } = server.address() as AddressInfo
  return {
    address: `${splitHostPort(listen).host}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function fail(response: ServerResponse, error: Error): void {
  if (response.headersSent) response.destroy()
  else response.writeHead(500).end(error.message)
}

async function sendMetrics(page: MetricsPage, response: ServerResponse): Promise<void> {
  const text = await page.metrics()
  response.writeHead(200, { 'content-type': page.contentType })
  if (page.more === undefined) return void response.end(text)
  response.write(`${text}\n`)
  for (const piece of page.more()) {
    await nextTurn()
    if (response.destroyed) return
    response.write(piece)
  }
  response.end()
}

export const newRegistry = (): Registry => new Registry()

/** How finely the delay of the event loop is seen; each value holds one such period. */
const DELAY_GRAIN_MS = 5

/** CPU time, memory, collections of garbage and the delay of the event loop, by the names that Node processes have everywhere. */
export const addProcessMetrics = (registry: Registry): void =>
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: DELAY_GRAIN_MS })
