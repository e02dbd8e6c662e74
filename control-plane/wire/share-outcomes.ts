/**
 * Brings what proxies say to the other control planes, and what those heard to this one. Every message has a number, so that a gap is seen; one is sent
 * now and then also when there is nothing to tell, so that others know that somebody listens.
 */
import { randomUUID } from 'node:crypto'
import type { NatsLink } from '../../core/edge/nats-link.ts'
import { limits } from '../../core/limits.ts'
import { allOutcomes, outcomesSubject } from '../../core/subjects.ts'
import { SharedOutcomes } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { parseShared } from '../fleet/parse-shared.ts'
import type { Shared, SharedNews } from '../fleet/replicas.ts'

type Bus = Pick<NatsLink, 'publish' | 'subscribe' | 'onState'>

/** Of the subject that is no proxy's. */
const NOBODY = '_'

export class OutcomeExchange {
  readonly replicaId = randomUUID()
  readonly counts = { told: 0, untold: 0, malformed: 0 }
  readonly #mesh: string
  readonly #onShared: (shared: Shared) => void
  #link: Bus | undefined
  #timer: NodeJS.Timeout | undefined
  #sequence = 0n

  constructor(mesh: string, onShared: (shared: Shared) => void) {
    this.#mesh = mesh
    this.#onShared = onShared
  }

  async follow(link: Bus): Promise<void> {
    this.#link = link
    await link.subscribe(allOutcomes(this.#mesh), (message) => this.#take(message))
    link.onState((state) => {
      if (state === 'up') this.tell({ kind: 'alive' })
    })
    this.tell({ kind: 'alive' })
    this.#timer = setInterval(() => this.tell({ kind: 'alive' }), limits.replicaAlivePeriod)
  }

  tell(news: SharedNews): void {
    if (news.kind !== 'report' || news.report.endpoints.length <= limits.sharedRowsMax) return this.#publish(news)
    // A proxy of a large fleet that comes back tells of more than one message of the bus takes.
    for (let at = 0; at < news.report.endpoints.length; at += limits.sharedRowsMax)
      this.#publish({ ...news, report: { endpoints: news.report.endpoints.slice(at, at + limits.sharedRowsMax) } })
  }

  close(): void {
    clearInterval(this.#timer)
    this.#link = undefined
  }

  #publish(news: SharedNews): void {
    const proxyId = news.kind === 'alive' ? '' : news.proxyId
    const shared: SharedOutcomes = {
      replicaId: this.replicaId,
      sequence: this.#sequence + 1n,
      proxyId,
      stream: news.kind === 'alive' ? 0n : BigInt(news.stream),
      news: toWire(news),
    }
    const subject = outcomesSubject(this.#mesh, proxyId === '' ? NOBODY : proxyId)
    const handed = this.#link?.publish(subject, SharedOutcomes.encode(shared).finish())
    // One that was not handed over leaves a gap, by which the others know that they miss something.
    this.#sequence = shared.sequence
    this.counts[handed === 'handed-over' ? 'told' : 'untold']++
  }

  #take(message: Uint8Array): void {
    const shared = parseShared(message)
    if (shared === undefined) this.counts.malformed++
    else if (shared.replicaId !== this.replicaId) this.#onShared(shared)
  }
}

function toWire(news: SharedNews): SharedOutcomes['news'] {
  switch (news.kind) {
    case 'alive':
      return undefined
    case 'began':
      return { $case: 'began', value: {} }
    case 'ended':
      return { $case: 'ended', value: {} }
    case 'report':
      return { $case: 'report', value: news.report }
    default:
      return news satisfies never
  }
}
