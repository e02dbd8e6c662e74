/**
 * HTTP/1.1 on the port of gRPC, by node's own server, which never listens: sockets are given to it. It answers whether the worker lives and can
 * route; whatever else is asked gets one line that says what this port is for.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { limits } from '../../core/limits.ts'

export type Http1Ports = { ready(): { readonly ok: boolean; readonly detail: string } }

const HEALTH = '/healthz'
const READY = '/readyz'

export class Http1Door {
  readonly #server: Server
  readonly #ports: Http1Ports
  #open = 0

  constructor(ports: Http1Ports) {
    this.#ports = ports
    this.#server = createServer(
      {
        maxHeaderSize: limits.http1HeadMax,
        headersTimeout: limits.http1HeadTimeout,
        requestTimeout: limits.http1RequestTimeout,
        keepAliveTimeout: limits.http1IdleMax,
        connectionsCheckingInterval: limits.http1CheckPeriod,
      },
      (request, response) => this.#answer(request, response),
    )
    this.#server.on('clientError', turnAway)
    this.#server.maxHeadersCount = limits.headerFieldsMax
    this.#server.maxRequestsPerSocket = limits.http1RequestsPerSocket
    this.#server.timeout = limits.http1RequestTimeout
    // Only a server that listens looks after its deadlines, and this one is told so.
    this.#server.emit('listening')
  }

  /** False when there are too many of them already; the socket is then the caller's to close. */
  take(socket: Socket): boolean {
    if (this.#open >= limits.http1SocketsMax) return false
    this.#open++
    socket.once('close', () => this.#open--)
    this.#server.emit('connection', socket)
    return true
  }

  /** What waits for a next request ends now; an answer that is on its way is finished. */
  drain(): void {
    this.#server.keepAliveTimeout = 1
    this.#server.closeIdleConnections()
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url?.split('?')[0]
    if (path === HEALTH || path === READY) {
      const health = path === HEALTH ? { ok: true, detail: 'ok' } : this.#ports.ready()
      return say(response, health.ok ? 200 : 503, health.detail)
    }
    const grpc = request.headers['content-type']?.startsWith('application/grpc') ?? false
    say(
      response,
      grpc ? 415 : 404,
      `This port speaks gRPC over HTTP/2 (prior knowledge, or ALPN under TLS)${grpc ? '; gRPC over HTTP/1.1 does not exist' : ''}. Over HTTP/1.1 there are ${HEALTH} and ${READY}.`,
    )
  }
}

/** What the parser says of bytes that are no HTTP/1.1 at all: nobody is there who could read an answer. */
const NOT_HTTP1: ReadonlySet<string> = new Set(['HPE_INVALID_METHOD', 'HPE_INVALID_VERSION', 'HPE_INVALID_CONSTANT'])

const FAULTS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

function turnAway(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || NOT_HTTP1.has(error.code ?? '')) socket.destroy()
  else socket.end(`HTTP/1.1 ${FAULTS[error.code ?? ''] ?? '400 Bad Request'}\r\nconnection: close\r\n\r\n`)
}

/** A body that was sent along is not waited for: the connection ends behind the answer. */
function say(response: ServerResponse, status: number, text: string): void {
  const hasBody = response.req.headers['content-length'] !== undefined || response.req.headers['transfer-encoding'] !== undefined
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(text) + 1,
    ...(hasBody ? { connection: 'close' } : {}),
  })
  response.end(response.req.method === 'HEAD' ? '' : `${text}\n`)
}
