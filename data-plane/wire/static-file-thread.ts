/** Reads a static file away from the primary's event loop: to parse ten thousand endpoints takes long. Gives them out piece by piece, when asked. */
import { parentPort, workerData } from 'node:worker_threads'
import { limits } from '../../core/limits.ts'
import type { Endpoint } from '../../core/mesh-snapshot.ts'
import { headOf, type PictureHead } from '../routing/routing-table.ts'
import { type FileForm, readStaticFile } from './static-file.ts'

export type ReadOrder = { readonly path: string; readonly form: FileForm }

export type FromReader =
  | { readonly kind: 'rows'; readonly endpoints: readonly Endpoint[] }
  | { readonly kind: 'end'; readonly head: PictureHead }
  | { readonly kind: 'bad'; readonly complaint: string }

/** Starts when the first piece is asked for. */
function* pieces({ path, form }: ReadOrder): Generator<FromReader, void> {
  try {
    const { endpoints, ...head } = readStaticFile(path, form)
    for (let at = 0; at < endpoints.length; at += limits.feedRowsMax)
      yield { kind: 'rows', endpoints: endpoints.slice(at, at + limits.feedRowsMax) }
    yield { kind: 'end', head: headOf(head) }
  } catch (error) {
    yield { kind: 'bad', complaint: (error as Error).message }
  }
}

const reading = pieces(workerData as ReadOrder)
parentPort?.on('message', () => {
  const { value } = reading.next()
  if (value !== undefined) parentPort?.postMessage(value)
})
