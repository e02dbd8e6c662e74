import type { Server } from 'node:net'
import { UsageError } from './settings.ts'

/** `host:port` or `[v6]:port`, already checked by the `hostPort` schema. */
export function splitHostPort(text: string): { readonly host: string; readonly port: number } {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(colon + 1)) }
}

/** Turns the errno of a failed listen into a line that names the cure. */
export function explainListenError(error: NodeJS.ErrnoException, address: string, what: string): UsageError {
  if (error.code === 'EADDRINUSE')
    return new UsageError(`${what}: ${address} is in use by another process; stop that one or choose another port`)
  if (error.code === 'EACCES') return new UsageError(`${what}: not allowed to listen on ${address}; choose a port above 1023`)
  if (error.code === 'EADDRNOTAVAIL') return new UsageError(`${what}: ${address} is not an address of this host`)
  return new UsageError(`${what}: cannot listen on ${address}: ${error.message}`)
}

export async function listenOrExplain(server: Server, address: string, what: string): Promise<void> {
  const { host, port } = splitHostPort(address)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(explainListenError(error, address, what)))
    server.listen(port, host, () => resolve())
  })
}
