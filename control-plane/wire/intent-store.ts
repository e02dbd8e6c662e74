/**
 * Keeps operators' intents in a JetStream key-value bucket on disk, and tells of every change, whichever control plane made it. A put resolves once
 * the store has it. Invariant: nothing here takes an intent back; a store that is away changes nothing.
 */
import { setTimeout as wait } from 'node:timers/promises'
import { type KV, type KvEntry, StorageType } from 'nats'
import type { Logger } from '../../core/edge/log.ts'
import type { NatsLink } from '../../core/edge/nats-link.ts'
import { limits } from '../../core/limits.ts'
import { intentBucket, nodeIntentKey } from '../../core/subjects.ts'
import { type Intent, parseIntent, SERVE, type StoredIntent, writeIntent } from '../fleet/intent.ts'

export type IntentPorts = {
  readonly mesh: string
  readonly log: Logger
  onIntent(node: string, stored: StoredIntent): void
  /** Every intent that was stored before has been told. */
  onKnown(): void
}

/** Said to the operator who asked. */
export class StoreAway extends Error {}

const JETSTREAM_TIMEOUT_MS = 1_000
const RETRY_MS = 1_000
const KEY_PREFIX = nodeIntentKey('')

export class IntentStore {
  readonly #ports: IntentPorts
  #kv: KV | undefined
  #watch: { stop(): void } | undefined
  /** Counts links: a watch of an earlier one says nothing any more. */
  #round = 0

  constructor(ports: IntentPorts) {
    this.#ports = ports
  }

  get ready(): boolean {
    return this.#kv !== undefined
  }

  follow(link: NatsLink): void {
    link.onState((state) => {
      if (state === 'up') void this.#open(link)
      else this.#leave()
    })
    void this.#open(link)
  }

  async put(node: string, intent: Intent): Promise<StoredIntent> {
    if (this.#kv === undefined)
      throw new StoreAway(
        'the intent was not stored: NATS JetStream does not answer; see that nats-server runs with -js -sd DIR and ask again',
      )
    try {
      return { intent, revision: await this.#kv.put(nodeIntentKey(node), writeIntent(intent)) }
    } catch (error) {
      throw new StoreAway(
        `the intent may not be stored (${(error as Error).message}); see that nats-server runs with JetStream (-js -sd DIR) and ask again`,
      )
    }
  }

  close(): void {
    this.#leave()
  }

  #leave(): void {
    this.#round++
    this.#kv = undefined
    this.#watch?.stop()
    this.#watch = undefined
  }

  /** A watch that lived through a server's restart is deaf for seconds: each link gets a new one, which tells the latest at once. */
  async #open(link: NatsLink): Promise<void> {
    this.#leave()
    const round = this.#round
    const { log, mesh } = this.#ports
    for (let attempt = 1; round === this.#round; attempt++)
      try {
        const kv = await link.connection.jetstream({ timeout: JETSTREAM_TIMEOUT_MS }).views.kv(intentBucket(mesh), {
          description: 'what operators want of nodes',
          history: 1,
          storage: StorageType.File,
          maxValueSize: limits.intentBytesMax,
        })
        if (round !== this.#round) return
        await this.#follow(kv, round)
        if (round === this.#round) log.warn('intent.watch-ended')
      } catch (error) {
        if (round !== this.#round) return
        if (attempt % 10 === 1)
          log.warn({ err: (error as Error).message, cure: 'run nats-server with JetStream: nats-server -js -sd DIR' }, 'intent.store-away')
      } finally {
        if (round === this.#round) {
          this.#kv = undefined
          await wait(RETRY_MS, undefined, { ref: false })
        }
      }
  }

  /** Returns when the watch ends. */
  async #follow(kv: KV, round: number): Promise<void> {
    let initialized = false
    let following = false
    const known = (): void => {
      if (round !== this.#round) return
      this.#ports.log.info('intent.known')
      this.#ports.onKnown()
    }
    const watch = await kv.watch({
      key: `${KEY_PREFIX}*`,
      initializedFn: () => {
        initialized = true
        if (following) known()
      },
    })
    if (round !== this.#round) {
      watch.stop()
      return
    }
    this.#kv = kv
    this.#watch = watch
    following = true
    // The client may call this initialized while entries still wait in its queue: those come first.
    let before = initialized ? watch.getPending() : undefined
    if (before === 0) known()
    for await (const entry of watch) {
      if (round !== this.#round) return
      this.#tell(entry)
      if (before !== undefined && --before === 0) known()
    }
  }

  #tell(entry: KvEntry): void {
    const node = entry.key.slice(KEY_PREFIX.length)
    // A key that someone deleted by hand is an operator's word too.
    const intent = entry.operation === 'PUT' ? parseIntent(entry.string()) : SERVE
    if (intent === undefined) this.#ports.log.warn({ node, value: entry.string().slice(0, limits.reportTextMax) }, 'intent.unreadable')
    else this.#ports.onIntent(node, { intent, revision: entry.revision })
  }
}
