/** The worker process: forked by the primary, ends with it. */
import type { Socket } from 'node:net'
import { warmUp } from './warm-up.ts'
import { Worker } from './worker.ts'
import type { FromWorker, ToWorker } from './worker-channel.ts'

let worker: Worker | undefined

const send = (message: FromWorker): void => {
  if (process.connected) process.send?.(message)
}

// The primary stops its workers itself; a signal to the whole group must not cut the streams that are to finish.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('SIGHUP', () => {})
process.on('disconnect', () => process.exit(1))

/** What comes meanwhile (the first snapshot, loads) waits for the rehearsal. */
const early: (() => void)[] = []
let rehearsing = false

async function begin(options: Extract<ToWorker, { kind: 'start' }>): Promise<void> {
  rehearsing = options.rehearse
  const starting = new Worker((message) => (rehearsing ? undefined : send(message)), options)
  worker = starting
  try {
    if (options.rehearse) await warmUp(starting)
  } catch (error) {
    send({ kind: 'log', level: 'info', event: 'warm-up.failed', fields: { detail: (error as Error).message } })
  }
  rehearsing = false
  for (const one of early) one()
  send({ kind: 'ready' })
}

process.on('message', (message: ToWorker, handle: unknown) => {
  if (rehearsing) early.push(() => take(message, handle))
  else take(message, handle)
})

function take(message: ToWorker, handle: unknown): void {
  switch (message.kind) {
    case 'start':
      void begin(message)
      return
    case 'front':
      return worker?.applyFront(message.front)
    case 'endpoint-tls':
      return worker?.applyEndpointTls(message.tls)
    case 'batch':
      worker?.apply(message.batch)
      return send({ kind: 'applied' })
    case 'connection':
      // A client that was gone before the handle arrived leaves none.
      if (handle !== undefined && handle !== null) worker?.takeSocket(handle as Socket)
      return
    case 'explain':
      if (worker !== undefined) send({ kind: 'explained', number: message.number, reply: worker.explain(message.query) })
      return
    case 'stop':
      worker?.drain().then(() => {
        send({ kind: 'drained' })
        process.disconnect()
        process.exit(0)
      })
      return
    default:
      return message satisfies never
  }
}
