/**
 * Asks a running worker about itself over Node's inspector: its heap after a collection, where its time goes. The worker is started as anybody can start it,
 * with NODE_OPTIONS=--inspect, so nothing in the product is made for this.
 */
import { z } from 'zod'
import type { Child } from '../../cli/child.ts'

export const INSPECTED = { NODE_OPTIONS: '--inspect=127.0.0.1:0' }

const LISTENING = /^Debugger listening on (ws:\S+)$/
const WORKER_FILE = 'worker-main'
const READY_WITHIN_MS = 10_000

const answer = z.object({ id: z.number(), result: z.unknown().optional(), error: z.object({ message: z.string() }).optional() })
const evaluated = z.object({ result: z.object({ value: z.unknown() }) })

export class Inspector {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #last = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.addEventListener('message', ({ data }) => {
      const read = answer.safeParse(JSON.parse(String(data)))
      if (!read.success) return // an event, not an answer
      const { id, result, error } = read.data
      const call = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) call?.resolve(result)
      else call?.reject(new Error(`inspector: ${error.message}`))
    })
    socket.addEventListener('close', () => {
      for (const call of this.#waiting.values()) call.reject(new Error('the inspected process is gone'))
      this.#waiting.clear()
    })
  }

  static async open(url: string): Promise<Inspector> {
    const socket = new WebSocket(url)
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve(), { once: true })
      socket.addEventListener('error', () => reject(new Error(`no inspector at ${url}`)), { once: true })
    })
    return new Inspector(socket)
  }

  call(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#last
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#socket.send(JSON.stringify({ id, method, params }))
    })
  }

  async evaluate(expression: string): Promise<unknown> {
    return evaluated.parse(await this.call('Runtime.evaluate', { expression, returnByValue: true })).result.value
  }

  close(): void {
    this.#socket.close()
  }
}

export type Inspected = { readonly inspector: Inspector; readonly pid: number; readonly isWorker: boolean }

/** The primary and the one worker of a proxy that was started with INSPECTED. */
export async function inspectProxy(part: Child): Promise<readonly Inspected[]> {
  const found = new Map<string, Inspected>()
  for (const deadline = performance.now() + READY_WITHIN_MS; performance.now() < deadline; ) {
    for (const line of part.stderr) {
      const url = LISTENING.exec(line)?.[1]
      if (url === undefined || found.has(url)) continue
      const inspector = await Inspector.open(url)
      const script = z.string().parse(await inspector.evaluate('process.argv[1]'))
      found.set(url, { inspector, pid: z.number().parse(await inspector.evaluate('process.pid')), isWorker: script.includes(WORKER_FILE) })
    }
    if (found.size === 2) return [...found.values()]
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  for (const one of found.values()) one.inspector.close()
  throw new Error('primary and worker do not both listen for an inspector')
}

export function workerOf(all: readonly Inspected[]): Inspected {
  const worker = all.find((one) => one.isWorker)
  if (worker === undefined) throw new Error('none of the processes is a worker')
  return worker
}
