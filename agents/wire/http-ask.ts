/** One HTTP request, with a limit of time and of size. Every way in which it can go wrong is an answer, never an exception. */
import { Agent, type RequestOptions, request } from 'node:http'
import { urlToHttpOptions } from 'node:url'
import { type Bytes, type Millis, millis } from '../../core/units.ts'

export type HttpAnswer =
  | { readonly kind: 'answer'; readonly status: number; readonly body: string; readonly took: Millis }
  | { readonly kind: 'refused' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'too-large' }
  | { readonly kind: 'broken'; readonly detail: string }

export type HttpPost = { readonly json: string; readonly signal: AbortSignal }

/** Keeps one connection for questions that come often and are not to find out whether the port still accepts. */
export const keptConnection = (): Agent => new Agent({ keepAlive: true, maxSockets: 1 })

/** Of a page that is asked for again and again, read once. */
export const pageAt = (url: string): RequestOptions => urlToHttpOptions(new URL(url))

/** A GET, or a POST that can be given up. Without `kept` on a fresh connection, which also asks whether the port still accepts. */
export function httpAsk(
  page: string | RequestOptions,
  timeout: Millis,
  bodyMax: Bytes,
  post?: HttpPost,
  kept?: Agent,
): Promise<HttpAnswer> {
  return new Promise((resolve) => {
    const began = performance.now()
    const how = post === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, signal: post.signal }
    const where = typeof page === 'string' ? pageAt(page) : page
    const asked = request({ ...where, agent: kept ?? false, ...how }, (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size <= bodyMax) chunks.push(chunk)
        else end({ kind: 'too-large' })
      })
      response.on('error', (error) => end({ kind: 'broken', detail: error.message }))
      response.on('end', () =>
        end({
          kind: 'answer',
          status: response.statusCode ?? 0,
          body: Buffer.concat(chunks).toString('utf8'),
          took: millis(performance.now() - began),
        }),
      )
    })
    const end = (answer: HttpAnswer): void => {
      clearTimeout(timer)
      resolve(answer)
      // A connection whose answer was read to its end goes on.
      if (kept === undefined || answer.kind !== 'answer') asked.destroy()
    }
    const timer = setTimeout(() => end({ kind: 'timeout' }), timeout)
    asked.on('error', (error: NodeJS.ErrnoException) =>
      end(error.code === 'ECONNREFUSED' ? { kind: 'refused' } : { kind: 'broken', detail: error.message }),
    )
    asked.end(post?.json)
  })
}
