/** Asks all workers of a proxy the same question and joins what comes in time: a worker that is slow, or dies over it, is left out. */
import { limits } from '../../core/limits.ts'
import type { ExplainQuery, ExplainReply } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { joinReplies } from './explain-reply.ts'
import type { ToWorker } from './worker-channel.ts'

type Asked = { readonly replies: ExplainReply[]; left: number; readonly done: () => void }

export class WorkerQuestions {
  readonly #open = new Map<number, Asked>()
  #last = 0

  /** Undefined when so many questions are open already that this one is not asked. */
  async explain(query: ExplainQuery, workers: readonly { tell(message: ToWorker): void }[]): Promise<ExplainReply | undefined> {
    if (this.#open.size >= limits.explainsWaitingMax) return undefined
    const number = ++this.#last
    const { promise, resolve } = Promise.withResolvers<void>()
    const asked: Asked = { replies: [], left: workers.length, done: resolve }
    this.#open.set(number, asked)
    const late = setTimeout(resolve, limits.explainWorkerTimeout)
    for (const worker of workers) worker.tell({ kind: 'explain', number, query })
    if (workers.length > 0) await promise
    clearTimeout(late)
    this.#open.delete(number)
    return joinReplies(query, asked.replies)
  }

  answered(number: number, reply: ExplainReply): void {
    const asked = this.#open.get(number)
    if (asked === undefined) return
    asked.replies.push(reply)
    if (--asked.left === 0) asked.done()
  }
}
