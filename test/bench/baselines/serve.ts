/** What the three Node baselines share: `<file> host:port,host:port,…` are the backends, taken in turn; the ready line tells the free port taken. */
import type { AddressInfo, Server } from 'node:net'
import { announceReady } from '../../../core/edge/ready-line.ts'

export type InTurn<T> = { next(): T }

export function inTurn<T>(make: (address: string) => T): InTurn<T> {
  const all = (process.argv[2] ?? '').split(',').map(make)
  let turn = 0
  return {
    next() {
      const one = all[turn++ % all.length]
      if (one === undefined) throw new Error('the first argument names the backends, for example 127.0.0.1:8001,127.0.0.1:8002')
      return one
    },
  }
}

export function serveOnFreePort(name: string, server: Server): void {
  server.listen(0, '127.0.0.1', () => announceReady(name, { listen: `127.0.0.1:${(server.address() as AddressInfo).port}` }))
}
