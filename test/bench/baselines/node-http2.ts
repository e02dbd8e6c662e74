/** What node:http2 costs when it only passes streams on: one session to each backend, header lists, data and trailers copied over. */
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { inTurn, serveOnFreePort } from './serve.ts'

const settings = { initialWindowSize: 1 << 20, maxConcurrentStreams: 100_000 }
const CONNECTION_WINDOW = 1 << 24

const sessions = inTurn((address) => {
  const session = connect(`http://${address}`, { settings })
  session.on('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW))
  // A lost backend shows as errors of its streams.
  session.on('error', () => {})
  return session
})

function relay(downstream: ServerHttp2Stream, head: IncomingHttpHeaders, session: ClientHttp2Session): void {
  const upstream = session.request(head, { endStream: false })
  let trailers: IncomingHttpHeaders = {}
  upstream.on('response', (answer, flags) => {
    const over = (flags & 1) === 1
    downstream.respond(answer, { waitForTrailers: !over, endStream: over })
  })
  upstream.on('trailers', (last) => {
    trailers = last
  })
  downstream.on('wantTrailers', () => downstream.sendTrailers(trailers))
  downstream.pipe(upstream)
  upstream.pipe(downstream)
  downstream.on('aborted', () => upstream.close(8))
  downstream.on('error', () => upstream.close(8))
  upstream.on('error', () => downstream.close(2))
}

const server: Http2Server = createServer({ settings })
server.on('session', (session) => {
  if ('setLocalWindowSize' in session) session.setLocalWindowSize(CONNECTION_WINDOW)
})
server.on('stream', (stream, head) => relay(stream, head, sessions.next()))
serveOnFreePort('node-http2', server)
