/** Two connections joined in memory by something like a pair of sockets: bytes lie on the way, come in portions, and count as backlog until then. */
import { limits } from '../../core/limits.ts'
import { Connection } from '../../data-plane/http2/connection.ts'
import type { ConnectionEvents, Role } from '../../data-plane/http2/connection-events.ts'
import { SlabPool } from '../../data-plane/http2/output.ts'
import { newTally, type Shared, WindowBudget } from '../../data-plane/http2/shared.ts'
import type { Draw } from './draw.ts'
import { must } from './target.ts'

const slabs = new SlabPool(8, (size) => new Uint8Array(size))
const readBuffer = new Uint8Array(limits.readBufferSize)
const USED = 0xee

export const newShared = (): Shared => ({ slabs, windowBudget: new WindowBudget(), tally: newTally() })

/** What a connection tells nobody. */
export const DEAF: ConnectionEvents = {
  onRequest: () => must(false, 'a request to a client'),
  onBadRequest: (_stream, problem) => must(false, `a request is called ${problem}`),
  onOutput: () => {},
  onOutputFull: () => {},
  onCapacity: () => {},
  onFatal: (_connection, code, reason) => must(false, `a connection ended: ${reason} (${code})`),
}

class End {
  readonly connection: Connection
  readonly shared: Shared
  /** On the way to the other end. */
  sent: Buffer = Buffer.alloc(0)

  constructor(role: Role, events: Partial<ConnectionEvents>, shared: Shared) {
    this.shared = shared
    this.connection = new Connection(role, { ...DEAF, ...events }, shared)
  }

  /** What waits to be sent goes on its way, if the way is free. */
  send(): void {
    if (this.sent.length > 0) return
    const gathered = this.connection.output.take()
    this.sent = Buffer.concat(gathered.map(({ bytes }) => bytes))
    for (const { slab } of gathered) {
      slab.bytes.fill(USED)
      slabs.give(slab)
    }
    this.connection.socketBacklog = this.sent.length
  }

  arrive(to: Connection, draw: Draw, most: number): number {
    const count = Math.min(most, this.sent.length)
    const largest = draw.pick([5, 100, 9_000, readBuffer.length, readBuffer.length])
    for (let at = 0; at < count; ) {
      const length = Math.min(count - at, largest === 5 && count > 3_000 ? 700 : draw.between(1, largest))
      readBuffer.set(this.sent.subarray(at, at + length))
      for (let took = 0; took < length; ) took = to.receive(readBuffer, length, took)
      readBuffer.fill(USED, 0, length)
      at += length
    }
    this.sent = this.sent.subarray(count)
    this.connection.socketBacklog = this.sent.length
    if (count > 0 || this.connection.output.size > 0) this.connection.onSocketTook()
    return count
  }
}

export class Pipe {
  readonly client: End
  readonly server: End
  open = true

  constructor(client: [Partial<ConnectionEvents>, Shared], server: [Partial<ConnectionEvents>, Shared]) {
    this.client = new End('client', ...client)
    this.server = new End('server', ...server)
  }

  /** Moves a portion one way; answers how much moved. */
  flow(upwards: boolean, draw: Draw, all: boolean): number {
    if (!this.open) return 0
    const [from, to] = upwards ? [this.client, this.server] : [this.server, this.client]
    from.send()
    return from.arrive(to.connection, draw, all ? from.sent.length : draw.size(from.sent.length + 1))
  }

  break(): void {
    this.open = false
    this.client.connection.lose('broken')
    this.server.connection.lose('broken')
  }

  mustBeEmpty(what: string): void {
    for (const { connection, shared } of [this.client, this.server]) {
      must(connection.streams.size === 0, `${what}: ${connection.streams.size} streams are kept by the ${connection.role}`)
      must(shared.tally.queuedBytes === 0, `${what}: ${shared.tally.queuedBytes} bytes count as queued at the ${connection.role}`)
    }
  }

  get frames(): number {
    return this.client.shared.tally.framesIn + this.server.shared.tally.framesIn
  }
}
