/**
 * What hosts' names stand for, kept fresh. A name is asked for again when its time is up (the records' own TTL where the source tells it) and when a
 * connection was lost. Invariants: a failed look-up keeps the last good addresses; a name is kept while somebody watches it; so many are asked for at once.
 */
import { lookup, Resolver } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import { splitHostPort } from '../../core/edge/listen.ts'
import { limits } from '../../core/limits.ts'
import { type Millis, millis } from '../../core/units.ts'

export type Resolved = { readonly addresses: readonly string[]; readonly ttl?: Millis }
export type Ask = (host: string) => Promise<Resolved>

/** As every other program of this host sees the name, the hosts file and search domains included. It tells no TTL. */
export const askSystem: Ask = async (host) => ({ addresses: (await lookup(host, { all: true })).map(({ address }) => address) })

/** One name server, asked itself. */
export function askServer(server: string): Ask {
  const resolver = new Resolver({ timeout: limits.dnsTimeout, tries: 2 })
  resolver.setServers([server])
  return async (host) => {
    const answers = await Promise.allSettled([resolver.resolve4(host, { ttl: true }), resolver.resolve6(host, { ttl: true })])
    const records = answers.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
    if (records.length === 0) throw answers.find((one) => one.status === 'rejected')?.reason ?? new Error(`${host} has no address`)
    return { addresses: records.map(({ address }) => address), ttl: millis(1_000 * Math.min(...records.map(({ ttl }) => ttl))) }
  }
}

export type NamePorts = {
  readonly ask: Ask
  now(): Millis
  /** A number in [0, 1). */
  draw(): number
  /** Between look-ups of a name whose records tell no TTL. */
  readonly period: Millis
}

type Name = {
  readonly host: string
  addresses: readonly string[]
  dueAt: number
  askedAt: number
  failures: number
  readonly watchers: Set<() => void>
  /** Connections that cannot begin before the first answer. */
  readonly waiting: Set<(error: Error | null) => void>
  state: 'resting' | 'queued' | 'asking'
}

/** The host of an address, when it is a name. */
export function nameIn(address: string): string | undefined {
  if (address.startsWith('unix:')) return undefined
  const { host } = splitHostPort(address)
  return isIP(host) === 0 ? host : undefined
}

export class Names {
  readonly tally = { lookups: 0, failures: 0 }
  readonly #ports: NamePorts
  readonly #names = new Map<string, Name>()
  readonly #queue: Name[] = []
  #asking = 0

  constructor(ports: NamePorts) {
    this.#ports = ports
  }

  get size(): number {
    return this.#names.size
  }

  /** `onChange` is called when the name stands for other addresses than before. */
  watch(host: string, onChange: () => void): NameWatch {
    let name = this.#names.get(host)
    if (name === undefined) {
      name = {
        ...{ host, addresses: [], dueAt: 0, askedAt: Number.NEGATIVE_INFINITY, failures: 0, state: 'resting' as const },
        ...{ watchers: new Set<() => void>(), waiting: new Set<(error: Error | null) => void>() },
      }
      this.#names.set(host, name)
      this.#enqueue(name)
    }
    const kept = name
    kept.watchers.add(onChange)
    return {
      get addresses() {
        return kept.addresses
      },
      refresh: () => {
        if (this.#ports.now() - kept.askedAt >= limits.dnsAgainMin) this.#enqueue(kept)
      },
      lookup: (preferred) => this.#lookup(kept, preferred),
      close: () => {
        kept.watchers.delete(onChange)
        if (kept.watchers.size === 0) this.#names.delete(host)
      },
    }
  }

  /** Every second or so. */
  tick(now: Millis): void {
    for (const name of this.#names.values()) if (now >= name.dueAt) this.#enqueue(name)
  }

  #enqueue(name: Name): void {
    if (name.state !== 'resting') return
    name.state = 'queued'
    this.#queue.push(name)
    this.#pump()
  }

  #pump(): void {
    while (this.#asking < limits.dnsLookupsAtOnce) {
      const name = this.#queue.shift()
      if (name === undefined) return
      this.#asking++
      void this.#askFor(name).finally(() => {
        this.#asking--
        this.#pump()
      })
    }
  }

  async #askFor(name: Name): Promise<void> {
    const { ask, now, draw, period } = this.#ports
    name.state = 'asking'
    name.askedAt = now()
    this.tally.lookups++
    let wait: number
    let problem: Error | null = null
    try {
      const { addresses, ttl } = await ask(name.host)
      name.failures = 0
      wait = ttl === undefined ? period : Math.min(Math.max(ttl, limits.dnsAgainMin), limits.dnsAgainMax)
      this.#learn(name, addresses)
    } catch (error) {
      this.tally.failures++
      problem = error as Error
      wait = Math.min(limits.dnsAgainMin * 2 ** Math.min(name.failures++, 10), period)
    }
    name.state = 'resting'
    name.dueAt = now() + wait * (0.9 + 0.2 * draw())
    for (const one of name.waiting) one(name.addresses.length > 0 ? null : (problem ?? new Error(`${name.host} has no address`)))
    name.waiting.clear()
  }

  #learn(name: Name, found: readonly string[]): void {
    const addresses = [...new Set(found)].slice(0, limits.addressesPerNameMax)
    const same = addresses.length === name.addresses.length && addresses.every((one) => name.addresses.includes(one))
    // An answer without addresses is a failure to find any.
    if (same || addresses.length === 0) return
    name.addresses = addresses
    for (const onChange of [...name.watchers]) onChange()
  }

  /** For a socket: all addresses, so that it tries the next when one does not answer; the preferred one first. */
  #lookup(name: Name, preferred: string | undefined): LookupFunction {
    return (_hostname, _options, callback) => {
      const answer = (error: Error | null): void => {
        if (error !== null) return callback(error, [])
        const rest = name.addresses.filter((one) => one !== preferred)
        const order = preferred === undefined ? rest : [preferred, ...rest]
        callback(
          null,
          order.map((address) => ({ address, family: isIP(address) })),
        )
      }
      if (name.addresses.length > 0) queueMicrotask(() => answer(null))
      else {
        name.waiting.add(answer)
        this.#enqueue(name)
      }
    }
  }
}

export type NameWatch = {
  readonly addresses: readonly string[]
  /** The last answer may be out of date. */
  refresh(): void
  lookup(preferred: string | undefined): LookupFunction
  close(): void
}
