/** A pair of sockets in memory that take what they are given at once, late, or bit by bit, and hand it on cut anywhere. Turns of the event loop are all the time there is. */
import { Duplex } from 'node:stream'
import { Draw } from './draw.ts'

export class SlowSocket extends Duplex {
  readonly #draw: Draw
  readonly #lazy: boolean
  #peer: SlowSocket | undefined
  readonly #inbox: (Buffer | null)[] = []
  #ended = false
  /** Bytes that it has handed on. */
  moved = 0

  private constructor(seed: number, lazy: boolean) {
    super({ highWaterMark: 1 << 14 })
    this.#draw = new Draw(seed)
    this.#lazy = lazy
  }

  static pair(draw: Draw): [SlowSocket, SlowSocket] {
    const near = new SlowSocket(draw.bits(), draw.oneIn(2))
    const far = new SlowSocket(draw.bits(), draw.oneIn(2))
    near.#peer = far
    far.#peer = near
    return [near, far]
  }

  // What code that expects a TCP socket calls.
  setNoDelay(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  setTimeout(): this {
    return this
  }
  destroySoon(): void {
    this.end(() => this.destroy())
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    if (bytes.length === 0 || !this.#lazy || this.#draw.oneIn(2)) {
      this.#handOn(Buffer.from(bytes))
      return done()
    }
    // A copy of a part now, the rest of the sender's own memory later: until then it must not have been used again.
    const now = this.#draw.size(bytes.length)
    this.#handOn(Buffer.from(bytes.subarray(0, now)))
    this.#later(this.#draw.between(1, 4), () => {
      this.#handOn(Buffer.from(bytes.subarray(now)))
      done()
    })
  }

  override _final(done: () => void): void {
    this.#peer?.accept(null)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#peer?.accept(null)
    done(error)
  }

  #handOn(bytes: Buffer): void {
    this.moved += bytes.length
    const largest = this.#draw.pick([60, 9_000, 70_000, 70_000])
    for (let at = 0; at < bytes.length; ) {
      const count = bytes.length > 20_000 && largest === 60 ? 5_000 : this.#draw.between(1, largest)
      this.#peer?.accept(bytes.subarray(at, at + count))
      at += count
    }
  }

  /** Never from within the sender's write: between two sockets there is always a kernel. */
  protected accept(bytes: Buffer | null): void {
    this.#inbox.push(bytes)
    if (this.#inbox.length > 1) return
    process.nextTick(() => {
      for (const one of this.#inbox.splice(0)) if (!this.destroyed && !this.#ended) this.#read(one)
    })
  }

  #read(bytes: Buffer | null): void {
    this.#ended = bytes === null
    this.push(bytes)
  }

  #later(turns: number, act: () => void): void {
    if (turns === 0) return act()
    setImmediate(() => this.#later(turns - 1, act))
  }
}

export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
