/**
 * Opens sockets to endpoints, whatever an address looks like. Whoever connects to an endpoint does it here, so that what holds for one connection
 * (its deadline, its read buffer, what counts as up) holds for all. Invariant: a dialled socket is up or closed within the connect timeout.
 */
import { connect, type LookupFunction, type NetConnectOpts, type Socket } from 'node:net'
import { splitHostPort } from '../../core/edge/listen.ts'
import { limits } from '../../core/limits.ts'
import { KEEP_ALIVE_MS, type OnBytes, onReadOf } from './read-buffer.ts'
import { connectTls, type TlsTerms } from './tls-upstream.ts'

export type Dial = {
  /** host:port, [v6]:port or unix:/path. */
  readonly address: string
  /** Answers all addresses of the host's name, in the order in which to try them; without it the system looks the name up. */
  readonly lookup?: LookupFunction | undefined
  /** Absent: it is spoken to in clear. */
  readonly tls?: TlsTerms | undefined
  /** Bytes are good until it returns. Without it nothing is read. */
  readonly onBytes?: OnBytes
  /** The peer is there and speaks what we speak. */
  onUp(): void
}

/** The socket may be written to at once: what it is given waits until it is up. A failure is an 'error' and a 'close' of the socket. */
export function dial(plan: Dial): Socket {
  const onread = plan.onBytes === undefined ? undefined : onReadOf(plan.onBytes)
  const where = whereTo(plan)
  const socket =
    plan.tls === undefined ? connect({ ...where, ...(onread !== undefined && { onread }) }) : connectTls(where, onread, plan.tls)
  const late = setTimeout(() => socket.destroy(new Error(`no connection within ${limits.connectTimeout} ms`)), limits.connectTimeout)
  socket.once(plan.tls === undefined ? 'connect' : 'secureConnect', () => {
    if (socket.destroyed) return
    clearTimeout(late)
    socket.setKeepAlive(true, KEEP_ALIVE_MS)
    plan.onUp()
  })
  socket.once('close', () => clearTimeout(late))
  return socket
}

function whereTo({ address, lookup }: Dial): NetConnectOpts {
  if (address.startsWith(UNIX)) return { path: address.slice(UNIX.length) }
  const { host, port } = splitHostPort(address)
  return { host, port, autoSelectFamily: true, ...(lookup !== undefined && { lookup }) }
}

const UNIX = 'unix:'
