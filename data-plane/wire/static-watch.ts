/** Follows a static file: read again, on a thread of its own, when it changed; one reading at a time, and the last change is always read. */
import { type BigIntStats, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import type { Endpoint, MeshSnapshot } from '../../core/mesh-snapshot.ts'
import { nextTurn } from './next-turn.ts'
import type { FileForm } from './static-file.ts'
import type { FromReader, ReadOrder } from './static-file-thread.ts'

const POLL_MS = 500
const THREAD_FILE = new URL(`./static-file-thread${import.meta.filename.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url)

export type StaticWatchPorts = {
  /** The next change is read once it resolves. */
  onSnapshot(snapshot: MeshSnapshot): Promise<void>
  onBad(complaint: string): void
}

/** What tells one state of a file from another; a file that is away has one too. Taken before the file is read, so that no change falls in between. */
export function fileStamp(path: string): string {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? '' : stampOf(found)
}

/**
 * Polls, because editors and mounted volumes replace files in ways that change notices miss. `read` is the stamp of what was read already.
 * Answers how to stop.
 */
export function watchStaticFile(path: string, form: FileForm, read: string, ports: StaticWatchPorts): () => void {
  let last = read
  let busy = false
  let stopped = false
  const look = async (): Promise<void> => {
    const stamp = await stat(path, { bigint: true }).then(stampOf, () => '')
    if (stamp === last) return
    last = stamp
    const result = await readApart({ path, form })
    if (stopped) return
    if (typeof result === 'string') ports.onBad(result)
    else await ports.onSnapshot(result)
  }
  const timer = setInterval(() => {
    if (busy) return
    busy = true
    void look().finally(() => {
      busy = false
    })
  }, POLL_MS)
  timer.unref()
  return () => {
    stopped = true
    clearInterval(timer)
  }
}

const stampOf = ({ mtimeNs, size, ino }: BigIntStats): string => `${mtimeNs} ${size} ${ino}`

/** A complaint where the file is wrong. */
export async function readApart(order: ReadOrder): Promise<MeshSnapshot | string> {
  const { path } = order
  const thread = new Worker(THREAD_FILE, { workerData: order })
  const endpoints: Endpoint[] = []
  try {
    return await new Promise<MeshSnapshot | string>((resolve) => {
      thread.on('message', (message: FromReader) => {
        if (message.kind === 'bad') return resolve(message.complaint)
        if (message.kind === 'end') return resolve({ ...message.head, endpoints })
        endpoints.push(...message.endpoints)
        void nextTurn().then(() => thread.postMessage('more'))
      })
      thread.once('error', (error: Error) => resolve(`${path}: ${error.message}`))
      thread.once('exit', () => resolve(`${path}: its reader ended early`))
      thread.postMessage('more')
    })
  } finally {
    void thread.terminate()
  }
}
