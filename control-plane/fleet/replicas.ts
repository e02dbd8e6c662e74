/**
 * What the other control planes of the mesh tell of the proxies that they serve, so that all judge by the same evidence. Each message counts once: our own
 * come back from the bus and are no news, repeated ones are passed over. A proxy is with one control plane: where it said hello last. What was told of it
 * before by another is over, as is everything of one that fell silent, or of which messages were lost. Bounded; one owner: the control loop.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { ProxyReport } from '../../proto/gen/millrace/mesh/v1/mesh.ts'

/** Said of one stream of one control plane. */
export type StreamNews = { readonly proxyId: string; readonly stream: number } & (
  | { readonly kind: 'began' | 'ended' }
  | { readonly kind: 'report'; readonly report: ProxyReport }
)

export type SharedNews = StreamNews | { readonly kind: 'alive' }

/** `replicaId`: another one at each start. `sequence` grows by one with each message. */
export type Shared = { readonly replicaId: string; readonly sequence: bigint; readonly news: SharedNews }

/** How others' streams are told from our own, which are positive. */
type Key = number
type Other = { sequence: bigint; heardAt: Millis; readonly streams: Map<number, { readonly key: Key; readonly proxyId: string }> }

/** `key` is that of the stream the news is about; `over` are those whose words count no more. */
export type Heard = { readonly key: Key | undefined; readonly over: readonly Key[] }

const NOTHING: Heard = { key: undefined, over: [] }

export class Replicas {
  readonly counts = { heard: 0, repeated: 0, lost: 0, too_many: 0 }
  readonly #others = new Map<string, Other>()
  #streams = 0
  #lastKey: Key = 0

  /** Nobody would hear what we tell. */
  get alone(): boolean {
    return this.#others.size === 0
  }

  get size(): number {
    return this.#others.size
  }

  hear({ replicaId, sequence, news }: Shared, now: Millis): Heard {
    const other = this.#others.get(replicaId) ?? this.#meet(replicaId, sequence, now)
    if (other === undefined) return NOTHING
    if (sequence <= other.sequence) {
      this.counts.repeated++
      return NOTHING
    }
    this.counts.heard++
    const missed = Number(sequence - other.sequence) - 1
    const over = missed === 0 ? [] : this.#endAll(other)
    this.counts.lost += missed
    Object.assign(other, { sequence, heardAt: now })
    return this.#note(other, news, over)
  }

  /** The proxy said hello to us. */
  movedHere(proxyId: string): readonly Key[] {
    return this.#endOf(proxyId, undefined)
  }

  expire(now: Millis): readonly Key[] {
    const over: Key[] = []
    for (const [id, other] of this.#others)
      if (now - other.heardAt >= limits.replicaSilenceMax) {
        over.push(...this.#endAll(other))
        this.#others.delete(id)
      }
    return over
  }

  #meet(replicaId: string, sequence: bigint, now: Millis): Other | undefined {
    if (this.#others.size >= limits.replicasMax) {
      this.counts.too_many++
      return undefined
    }
    const other: Other = { sequence: sequence - 1n, heardAt: now, streams: new Map() }
    this.#others.set(replicaId, other)
    return other
  }

  #note(other: Other, news: SharedNews, over: readonly Key[]): Heard {
    if (news.kind === 'alive') return { key: undefined, over }
    if (news.kind === 'ended') return { key: undefined, over: [...over, ...this.#end(other, news.stream)] }
    const moved = news.kind === 'began' ? this.#endOf(news.proxyId, other) : []
    return { key: this.#keyOf(other, news), over: [...over, ...moved] }
  }

  #keyOf({ streams }: Other, { stream, proxyId }: StreamNews): Key | undefined {
    const known = streams.get(stream)
    if (known !== undefined) return known.key
    if (this.#streams >= limits.proxiesMax) {
      this.counts.too_many++
      return undefined
    }
    this.#streams++
    const key = --this.#lastKey
    streams.set(stream, { key, proxyId })
    return key
  }

  #end(other: Other, stream: number): readonly Key[] {
    const known = other.streams.get(stream)
    if (known === undefined) return []
    other.streams.delete(stream)
    this.#streams--
    return [known.key]
  }

  #endAll(other: Other): readonly Key[] {
    return [...other.streams.keys()].flatMap((stream) => this.#end(other, stream))
  }

  #endOf(proxyId: string, but: Other | undefined): readonly Key[] {
    const over: Key[] = []
    for (const other of this.#others.values())
      if (other !== but) for (const [stream, known] of other.streams) if (known.proxyId === proxyId) over.push(...this.#end(other, stream))
    return over
  }
}
