/** The HTTP port: Triton's health, metrics and repository pages, and under /sim/ the switches of the simulation. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { z } from 'zod'
import { listenOrExplain, splitHostPort } from '../../core/edge/listen.ts'
import { isReady, repositoryIndex } from './about.ts'
import { behaviourSchema } from './behaviour.ts'
import type { Engine } from './engine.ts'
import { metricsPage } from './tally.ts'

const BODY_MAX = 64 * 1024
const queueSchema = z.strictObject({ depth: z.number().int().min(0).max(1_000_000) })

type Page = (response: ServerResponse, body: string) => void

const json = (response: ServerResponse, value: unknown, status = 200): void =>
  void response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(value)}\n`)

/** Hands the page a checked body, or answers 400 with what is wrong with it. */
const withBody =
  <T>(schema: z.ZodType<T>, page: (value: T, response: ServerResponse) => void): Page =>
  (response, body) => {
    let value: unknown
    try {
      value = JSON.parse(body)
    } catch {
      return json(response, { error: 'the body is not JSON' }, 400)
    }
    const read = schema.safeParse(value)
    if (read.success) page(read.data, response)
    else json(response, { error: z.prettifyError(read.error) }, 400)
  }

export async function serveControl(
  listen: string,
  engine: Engine,
  die: () => void,
): Promise<{ readonly address: string; close(): Promise<void> }> {
  const pages: Readonly<Record<string, Page>> = {
    'GET /v2/health/live': (response) => void response.writeHead(200).end(),
    // Triton's word for "not ready" is 400.
    'GET /v2/health/ready': (response) => void response.writeHead(isReady(engine) ? 200 : 400).end(),
    'GET /metrics': (response) =>
      void response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(metricsPage(engine.tallies, engine.pending())),
    'POST /v2/repository/index': (response) => json(response, repositoryIndex(engine)),
    'GET /sim/stats': (response) => json(response, engine.counts()),
    'GET /sim/behave': (response) => json(response, engine.behaviour),
    'POST /sim/behave': withBody(behaviourSchema, (behaviour, response) => {
      engine.behave(behaviour)
      json(response, behaviour)
    }),
    'POST /sim/queue': withBody(queueSchema, ({ depth }, response) => {
      engine.phantoms = depth
      json(response, { depth })
    }),
    'POST /sim/die': (response) => {
      response.writeHead(200).end()
      response.once('finish', die)
    },
  }
  const server = createServer((request, response) => {
    const page = pages[`${request.method} ${request.url?.split('?')[0]}`]
    if (page === undefined) return json(response, { error: `there are ${Object.keys(pages).join(', ')}` }, 404)
    readBody(request).then(
      (body) => page(response, body),
      (error: Error) => json(response, { error: error.message }, 400),
    )
  })
  await listenOrExplain(server, listen, 'HTTP')
  return {
    address: `${splitHostPort(listen).host}:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of request) {
    body += String(chunk)
    if (body.length > BODY_MAX) throw new Error(`a body is at most ${BODY_MAX} bytes`)
  }
  return body
}
