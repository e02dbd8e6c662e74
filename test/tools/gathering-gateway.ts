/** A gateway as one should not be: what the server sends is held for a while and then handed on together. It looks at no byte. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export type GatheringGateway = { readonly listen: string; stop(): void }

export async function startGatheringGateway(upstream: string, heldForMs: number): Promise<GatheringGateway> {
  const at = upstream.lastIndexOf(':')
  const open = new Set<Socket>()
  const server = createServer({ noDelay: true }, (client) => {
    const backend = connect({ host: upstream.slice(0, at), port: Number(upstream.slice(at + 1)), noDelay: true })
    let held: Buffer[] = []
    let timer: NodeJS.Timeout | undefined
    const handOn = (): void => {
      timer = undefined
      client.write(Buffer.concat(held))
      held = []
    }
    client.pipe(backend)
    backend.on('data', (bytes: Buffer) => {
      held.push(bytes)
      timer ??= setTimeout(handOn, heldForMs)
    })
    for (const [one, other] of [
      [client, backend],
      [backend, client],
    ] as const) {
      open.add(one)
      one.on('error', () => {})
      one.on('close', () => {
        clearTimeout(timer)
        open.delete(one)
        other.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    listen: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop() {
      for (const one of open) one.destroy()
      server.close()
    },
  }
}
