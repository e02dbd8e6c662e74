/** What is the same for every TLS connection of a proxy, on either side: versions, ciphers, and words for what goes wrong. */
import { constants } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'

/** What the listener proves itself by, and whom it asks for proof. Goes from the primary to its workers; never into a log. */
export type ListenerMaterial = {
  /** PEM: the certificate with its chain, and its key. */
  readonly cert: string
  readonly key: string
  /** PEM. When it is there every client must show a certificate of one of these. */
  readonly clientCa?: string
  /** Names that such a client may have; none named: all. */
  readonly clientIdentities: readonly string[]
  /** Nothing but TLS is taken on the port. */
  readonly only: boolean
  /** One for all workers, so that a session begun with one is resumed by another. */
  readonly ticketKeys: Uint8Array
}

export const TICKET_KEYS_BYTES = 48
export const ALPN_HTTP2 = 'h2'
export const ALPN_HTTP1 = 'http/1.1'

/** Forward secrecy and authenticated encryption only: what RFC 9113 §9.2.2 leaves of TLS 1.2, and all of TLS 1.3. */
export const TLS_RULES = {
  minVersion: 'TLSv1.2',
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
  ].join(':'),
} as const

/** Throws where the material does not fit together. */
export function listenerContext(material: ListenerMaterial): SecureContext {
  return createSecureContext({
    ...TLS_RULES,
    cert: material.cert,
    key: material.key,
    ...(material.clientCa === undefined ? {} : { ca: material.clientCa }),
    honorCipherOrder: true,
    // Under HTTP/2 nobody may ask for another handshake (RFC 9113 §9.2.1), and whoever does has us sign again and again.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ticketKeys: Buffer.from(material.ticketKeys),
    // Sessions that were begun under client certificates are resumed only by listeners that ask for them too.
    sessionIdContext: 'millrace',
  })
}

type TlsFault = Error & { readonly code?: string; readonly reason?: string }

const WORDS: Readonly<Record<string, string>> = {
  ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE: 'it showed no certificate, and --tls-client-ca wants one',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it offers no TLS version from 1.2 on',
  ERR_SSL_VERSION_TOO_LOW: 'it offers no TLS version from 1.2 on',
  ERR_SSL_NO_SHARED_CIPHER: 'it offers no cipher that is taken here',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'by ALPN it speaks neither h2 nor http/1.1',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: 'the peer does not know the authority that signed our certificate',
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'the peer does not accept our certificate',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: 'the peer does not accept our certificate',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'for the peer our certificate has expired',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'the peer takes none of our TLS versions',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the peer wants a certificate of us',
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'the peer does not offer HTTP/2 by ALPN',
  ERR_SSL_WRONG_VERSION_NUMBER: 'what it sends is not TLS',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by nobody but itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate comes from an authority that is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT: 'its certificate comes from an authority that is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate comes from an authority that is not trusted here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate comes from an authority that is not trusted here',
  INVALID_PURPOSE: 'its certificate is not made for this purpose (extended key usage)',
  ECONNRESET: 'it went away during the handshake',
}

/** OpenSSL's own text names files and lines of its source. */
export function wordsOf(error: Error): string {
  const fault = error as TlsFault
  const words = fault.code === undefined ? undefined : WORDS[fault.code]
  return words ?? fault.reason ?? fault.message
}
