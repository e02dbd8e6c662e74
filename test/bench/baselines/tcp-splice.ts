/** The floor in Node: bytes go from socket to socket and nothing is understood. A connection, not a request, is what takes a backend's turn. */
import { connect, createServer } from 'node:net'
import { inTurn, serveOnFreePort } from './serve.ts'

const backends = inTurn((address) => {
  const [host, port] = address.split(':')
  return { host: host ?? '', port: Number(port) }
})

serveOnFreePort(
  'tcp-splice',
  createServer({ noDelay: true }, (client) => {
    const upstream = connect({ ...backends.next(), noDelay: true })
    client.pipe(upstream).pipe(client)
    client.on('error', () => upstream.destroy())
    upstream.on('error', () => client.destroy())
  }),
)
