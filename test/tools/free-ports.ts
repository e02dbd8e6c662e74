/**
 * Ports of loopback that nobody listens on, for programs that cannot choose their own and tell. They lie below those that the kernel hands out by itself,
 * so that no process which asks it for any port gets one of them before it is used.
 */
import { once } from 'node:events'
import { createServer } from 'node:net'

const FIRST = 20_000
const COUNT = 12_000
const TRIES = 100

export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  for (let tries = 0; ports.size < count && tries < TRIES; tries++) {
    const port = FIRST + Math.floor(Math.random() * COUNT)
    if (!ports.has(port) && (await isFree(port))) ports.add(port)
  }
  return [...ports]
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
    return true
  } catch {
    return false
  } finally {
    await new Promise((closed) => server.close(closed))
  }
}
