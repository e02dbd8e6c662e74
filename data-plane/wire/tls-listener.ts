/**
 * The certificates of the listener, as the primary keeps them: read at start, read again when their files change or on demand, renewed ticket keys
 * now and then. Invariants: what is wrong or has expired never replaces what is good; every change comes with new ticket keys, so that nobody resumes
 * a session that the new terms would not have allowed.
 */
import { randomBytes } from 'node:crypto'
import { UsageError } from '../../core/edge/settings.ts'
import { limits } from '../../core/limits.ts'
import { type ListenerMaterial, listenerContext, TICKET_KEYS_BYTES } from './tls-context.ts'
import { type KeyPair, readAuthorities, readKeyPair, stampOf } from './tls-files.ts'

export type ListenerFiles = {
  readonly cert: string
  readonly key: string
  readonly clientCa?: string
  readonly clientIdentities: readonly string[]
  readonly only: boolean
}

export type ListenerPorts = {
  /** Wall-clock time, which certificates are dated by. */
  wallClock(): number
  onChange(material: ListenerMaterial): void
  /** One line for the log. */
  tell(level: 'info' | 'warn' | 'error', event: string, fields: Readonly<Record<string, unknown>>): void
}

const DAY_MS = 24 * 3_600_000
const WARN_DAYS = 14
const NAMED = { cert: '--tls-cert', key: '--tls-key' }

export class ListenerTls {
  readonly #files: ListenerFiles
  readonly #ports: ListenerPorts
  readonly #paths: readonly string[]
  #material: ListenerMaterial
  #expires: number
  /** Of the files as they were last read, and as they were last seen. */
  #read: string
  #seen: string
  #ticketsSince: number
  #warnedAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  readonly reloads = { good: 0, bad: 0 }

  /** Throws a UsageError that names cause and cure. */
  constructor(files: ListenerFiles, ports: ListenerPorts) {
    this.#files = files
    this.#ports = ports
    this.#paths = [files.cert, files.key, ...(files.clientCa === undefined ? [] : [files.clientCa])]
    this.#seen = this.#read = stampOf(this.#paths)
    const { material, expires } = this.#load()
    this.#material = material
    this.#expires = expires
    this.#ticketsSince = ports.wallClock()
    this.#lookAtExpiry()
  }

  get material(): ListenerMaterial {
    return this.#material
  }

  /** Unix time in seconds at which the listener's certificate expires. */
  get expiresAt(): number {
    return Math.floor(this.#expires / 1_000)
  }

  /** Polls: notices of a changed folder are missed where files are mounted. */
  watch(): void {
    this.#timer = setInterval(() => this.look(), limits.certificatePoll)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Reads what has changed and then held still for one look: a certificate and its key are two files, and one comes first. */
  look(): void {
    const stamp = stampOf(this.#paths)
    const still = stamp === this.#seen
    this.#seen = stamp
    if (still && stamp !== this.#read) this.reload()
    else if (this.#ports.wallClock() - this.#ticketsSince > limits.ticketKeysLife)
      this.#publish({ ...this.#material, ticketKeys: newTicketKeys() })
    this.#lookAtExpiry()
  }

  /** Reads the files now, changed or not. */
  reload(): void {
    this.#seen = this.#read = stampOf(this.#paths)
    try {
      const { material, expires } = this.#load()
      const now = this.#ports.wallClock()
      if (expires < now && this.#expires >= now)
        throw new UsageError(`--tls-cert ${this.#files.cert}: expired on ${day(expires)}; renew it`)
      this.#expires = expires
      this.#warnedAt = Number.NEGATIVE_INFINITY
      this.#publish(material)
      this.reloads.good++
      this.#ports.tell('info', 'tls.read', { cert: this.#files.cert, expires: day(expires) })
    } catch (error) {
      this.reloads.bad++
      this.#ports.tell('error', 'tls.refused', {
        complaint: (error as Error).message,
        kept: `the certificate that expires on ${day(this.#expires)}`,
      })
    }
  }

  #publish(material: ListenerMaterial): void {
    this.#material = material
    this.#ticketsSince = this.#ports.wallClock()
    this.#ports.onChange(material)
  }

  #load(): { readonly material: ListenerMaterial; readonly expires: number } {
    const { cert: certPath, key: keyPath, clientCa, clientIdentities, only } = this.#files
    const { cert, key, leaf }: KeyPair = readKeyPair(certPath, keyPath, NAMED)
    const material: ListenerMaterial = {
      cert,
      key,
      ...(clientCa === undefined ? {} : { clientCa: readAuthorities(clientCa, '--tls-client-ca') }),
      clientIdentities,
      only,
      ticketKeys: newTicketKeys(),
    }
    try {
      listenerContext(material)
    } catch (error) {
      throw new UsageError(`--tls-cert ${certPath}: ${(error as Error).message}`)
    }
    return { material, expires: leaf.validToDate.getTime() }
  }

  /** Once a day. An expired one is still shown: whether that matters is for the clients to say, and those that do not look go on. */
  #lookAtExpiry(): void {
    const now = this.#ports.wallClock()
    const left = this.#expires - now
    if (left > WARN_DAYS * DAY_MS || now - this.#warnedAt < DAY_MS) return
    this.#warnedAt = now
    const fields = { cert: this.#files.cert, expires: day(this.#expires), days: Math.floor(left / DAY_MS) }
    if (left < 0) this.#ports.tell('error', 'tls.certificate-expired', fields)
    else this.#ports.tell('warn', 'tls.certificate-expires', fields)
  }
}

const newTicketKeys = (): Uint8Array => randomBytes(TICKET_KEYS_BYTES)
const day = (time: number): string => new Date(time).toISOString().slice(0, 16).replace('T', ' ')
