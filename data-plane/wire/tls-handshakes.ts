/**
 * Handshakes of the clients of one worker. A signature costs up to a millisecond, so a turn of the event loop begins few of them and the rest wait
 * in order: relayed streams go on in between. Bounds: `handshakesMax` begun or waiting, each for `handshakeTimeout`.
 */
import type { Socket } from 'node:net'
import { type SecureContext, TLSSocket } from 'node:tls'
import { limits } from '../../core/limits.ts'
import type { Rejection } from './front-tally.ts'
import { type OnBytes, readDecrypted } from './read-buffer.ts'
import { ALPN_HTTP1, ALPN_HTTP2, type ListenerMaterial, listenerContext, wordsOf } from './tls-context.ts'
import { allowedName, describeNames, namesOf } from './tls-identity.ts'

export type HandshakeEnd =
  /** `alpn` is empty when the client asked for no protocol. */
  | { readonly ok: true; readonly socket: TLSSocket; readonly alpn: string }
  | { readonly ok: false; readonly reason: Rejection; readonly detail: string }

type Terms = { readonly context: SecureContext; readonly material: ListenerMaterial }

export class Handshakes {
  #terms: Terms | undefined
  #open = 0
  #waiting: (() => void)[] = []
  #scheduled = false

  /** Of handshakes that begin from now on. Throws where the material does not fit together; the old stays then. */
  use(material: ListenerMaterial | undefined): void {
    this.#terms = material === undefined ? undefined : { context: listenerContext(material), material }
  }

  get on(): boolean {
    return this.#terms !== undefined
  }

  get only(): boolean {
    return this.#terms?.material.only ?? false
  }

  /** Begun or waiting. */
  get open(): number {
    return this.#open
  }

  /** `raw` is paused, and holds what it had read. False when there are too many; else `end` is told once, unless the socket is gone before. */
  begin(raw: Socket, onBytes: OnBytes, end: (result: HandshakeEnd) => void): boolean {
    if (this.#open >= limits.handshakesMax) return false
    this.#open++
    let over = false
    const settle = (result: HandshakeEnd | undefined): void => {
      if (over) return
      over = true
      this.#open--
      clearTimeout(late)
      if (result !== undefined) end(result)
    }
    const tooLate = (): void =>
      settle({ ok: false, reason: 'handshake-timeout', detail: `no TLS handshake within ${limits.handshakeTimeout} ms` })
    const late = setTimeout(tooLate, limits.handshakeTimeout)
    raw.once('close', () => settle(undefined))
    this.#waiting.push(() => {
      if (!over && this.#terms !== undefined) shake(raw, this.#terms, onBytes, settle)
    })
    this.#schedule()
    return true
  }

  #schedule(): void {
    if (this.#scheduled || this.#waiting.length === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      for (const start of this.#waiting.splice(0, limits.handshakesPerTurn)) start()
      this.#schedule()
    })
  }
}

function shake(raw: Socket, { context, material }: Terms, onBytes: OnBytes, settle: (result: HandshakeEnd) => void): void {
  const wantsProof = material.clientCa !== undefined
  const socket = new TLSSocket(raw, {
    isServer: true,
    secureContext: context,
    ALPNProtocols: [ALPN_HTTP2, ALPN_HTTP1],
    requestCert: wantsProof,
    rejectUnauthorized: wantsProof,
  })
  const fail = (error: Error & { readonly code?: string }): void => {
    const reason = error.code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE' ? 'client-certificate' : 'handshake-failed'
    settle({ ok: false, reason, detail: wordsOf(error) })
    socket.destroy()
  }
  socket.on('error', fail)
  // What is wrong after the handshake is told here only: no listener of node's own owns this socket.
  socket.on('_tlsError', fail)
  socket.once('secure', () => {
    const problem = wantsProof ? problemOfClient(socket, material.clientIdentities) : undefined
    if (problem !== undefined) return settle(problem)
    readDecrypted(socket, onBytes)
    settle({ ok: true, socket, alpn: typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '' })
  })
}

/** OpenSSL checked the chain and left the verdict to us; a resumed session is judged like a new one. */
function problemOfClient(socket: TLSSocket, allowed: readonly string[]): HandshakeEnd | undefined {
  const error = verdictOf(socket)
  if (error !== null) return { ok: false, reason: 'client-certificate', detail: wordsOf(error) }
  const names = namesOf(socket.getPeerX509Certificate()?.subjectAltName)
  if (allowed.length === 0 || allowedName(names, allowed) !== undefined) return undefined
  return {
    ok: false,
    reason: 'client-identity',
    detail: `its certificate names ${describeNames(names)}; --tls-client-identities allows none of these`,
  }
}

/** Node keeps the verdict on its handle, where only its own listeners read it; without a verdict there is no proof. */
function verdictOf(socket: TLSSocket): Error | null {
  const { ssl } = socket as unknown as { readonly ssl?: { verifyError?(): Error | null | undefined } }
  if (ssl?.verifyError === undefined || socket.getPeerX509Certificate() === undefined)
    return new Error('its certificate cannot be verified')
  return ssl.verifyError() ?? null
}
