/**
 * TLS to endpoints. The files that an endpoint names are looked at before each connection and read again when they have changed, so that what runs
 * keeps what it began with. Invariants: no byte of a request leaves before the server has proved who it is and agreed to HTTP/2; what is wrong in
 * changed files never replaces what was good.
 */
import { isIP, type NetConnectOpts, type OnReadOpts, Socket, type TcpNetConnectOpts } from 'node:net'
import { checkServerIdentity, connect, createSecureContext, type PeerCertificate, type SecureContext } from 'node:tls'
import { UsageError } from '../../core/edge/settings.ts'
import { limits } from '../../core/limits.ts'
import type { EndpointTls } from '../../core/mesh-snapshot.ts'
import { ALPN_HTTP2, TLS_RULES, wordsOf } from './tls-context.ts'
import { readAuthorities, readKeyPair, stampOf } from './tls-files.ts'
import { allowedName, describeNames, namesOf } from './tls-identity.ts'

/** What one connection is made with. */
export type TlsTerms = {
  readonly tls: EndpointTls
  readonly contexts: TlsContexts
  /** What is wrong between the two, in words that a caller may read. */
  onTrouble(words: string): void
}

type Kept = { readonly context: SecureContext; stamp: string }

const NAMED = { cert: 'tls.cert', key: 'tls.key' }

/** By the files that they are made of; those of endpoints that left are the first to be forgotten. */
export class TlsContexts {
  readonly #kept = new Map<string, Kept>()
  readonly #complain: (complaint: string) => void

  /** `complain` hears of changed files that were not taken, once for each change. */
  constructor(complain: (complaint: string) => void) {
    this.#complain = complain
  }

  /** Throws a UsageError where there is nothing good to fall back on. */
  get({ ca, cert, key }: EndpointTls): SecureContext {
    const paths = [ca, cert, key].filter((path) => path !== undefined)
    const name = JSON.stringify([ca, cert, key])
    const stamp = stampOf(paths)
    const kept = this.#kept.get(name)
    if (kept?.stamp === stamp) return kept.context
    try {
      const context = readContext(ca, cert, key)
      this.#kept.delete(name)
      for (const oldest of this.#kept.keys()) if (this.#kept.size >= limits.tlsContextsMax) this.#kept.delete(oldest)
      this.#kept.set(name, { context, stamp })
      return context
    } catch (error) {
      if (kept === undefined) throw error
      kept.stamp = stamp
      this.#complain((error as Error).message)
      return kept.context
    }
  }
}

function readContext(ca: string | undefined, cert: string | undefined, key: string | undefined): SecureContext {
  const own = cert === undefined || key === undefined ? undefined : readKeyPair(cert, key, NAMED)
  try {
    return createSecureContext({
      ...TLS_RULES,
      ...(ca === undefined ? {} : { ca: readAuthorities(ca, 'tls.ca') }),
      ...(own === undefined ? {} : { cert: own.cert, key: own.key }),
    })
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(`tls: ${(error as Error).message}`)
  }
}

/** What is written waits until 'secureConnect'. A failure is an 'error' in plain words and a 'close'. */
export function connectTls(where: NetConnectOpts, onread: OnReadOpts | undefined, terms: TlsTerms): Socket {
  const { tls, contexts } = terms
  let secureContext: SecureContext
  try {
    secureContext = contexts.get(tls)
  } catch (error) {
    terms.onTrouble('this proxy’s own certificates for it cannot be used')
    return new Socket().destroy(error as Error)
  }
  const name = tls.serverName ?? (where as Partial<TcpNetConnectOpts>).host ?? ''
  const socket = connect({
    ...where,
    ...(onread !== undefined && { onread }),
    secureContext,
    ALPNProtocols: [ALPN_HTTP2],
    rejectUnauthorized: true,
    // An address is no name: it is checked, and not sent.
    ...(isIP(name) === 0 && name !== '' ? { servername: name } : {}),
    checkServerIdentity: (_, certificate) => problemOfServer(tls.identity, name, certificate),
  })
  let proved = false
  socket.cork()
  socket.on('error', (error: Error & { readonly code?: string }) => {
    const words = wordsOf(error)
    if (!isOfTls(error) && !(!proved && words !== error.message)) return
    error.message = `TLS: ${words}`
    terms.onTrouble(error.message)
  })
  socket.once('secureConnect', () => {
    proved = true
    if (socket.alpnProtocol === ALPN_HTTP2) socket.uncork()
    else socket.destroy(new TlsProblem('it does not offer HTTP/2 by ALPN'))
  })
  return socket
}

class TlsProblem extends Error {}

const isOfTls = (error: Error & { readonly code?: string }): boolean =>
  error instanceof TlsProblem || (error.code?.startsWith('ERR_SSL') ?? false)

function problemOfServer(identity: string | undefined, name: string, certificate: PeerCertificate): Error | undefined {
  const names = namesOf(certificate.subjectaltname)
  if (identity === undefined) {
    if (name === '') return new TlsProblem('a unix socket has no name to check: its tls wants a serverName or an identity')
    if (checkServerIdentity(name, certificate) === undefined) return undefined
    return new TlsProblem(`its certificate is not for ${name}; it names ${certificate.subjectaltname ?? 'nobody'}`)
  }
  if (allowedName(names, [identity]) !== undefined) return undefined
  return new TlsProblem(`its certificate names ${describeNames(names)}, and not ${identity}`)
}
