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

const ALIVE = (): Health => ({ ok: true, detail: 'ok' })

/** Serves GET /metrics (Prometheus text), /healthz (the process lives) and /readyz (it can do its work). */
export async function serveMetrics(
  listen: string,
  page: MetricsPage,
  ready: () => Health,
  alive: () => Health = ALIVE,
): Promise<HttpEndpoint> {
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0]
    if (path === '/metrics')
      void sendPage(page, response).catch((error: Error) =>
        response.headersSent ? response.destroy() : response.writeHead(500).end(error.message),
      )
    else if (path === '/healthz' || path === '/readyz') {
      const health = path === '/healthz' ? alive() : ready()
      response.writeHead(health.ok ? 200 : 503).end(`${health.detail}\n`)
    } else response.writeHead(404).end('there are /metrics, /healthz and /readyz\n')
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

async function sendPage(page: MetricsPage, response: ServerResponse): Promise<void> {
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
