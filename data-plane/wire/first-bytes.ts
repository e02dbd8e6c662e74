/** Tells by its first bytes what a client speaks. A pure look at the bytes: whoever has too few of them is asked again with more. */
import { PREFACE } from '../http2/protocol.ts'

/** `more`: what is there may still become several things. `unknown`: nothing that we speak begins so. */
export type Spoken = 'http2' | 'tls' | 'http1' | 'proxy' | 'unknown' | 'more'

/** What a PROXY protocol header of version 2 begins with: it is no HTTP and no TLS. */
export const PROXY_SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')
/** A HTTP/1 method that begins as the preface does is told apart here ("PUT", "PROPFIND"; PRI is reserved). */
const PREFACE_TOLD = 3
const TLS_HANDSHAKE = 0x16
const TLS_MAJOR = 0x03

const preface = Buffer.from(PREFACE, 'latin1')

export function recognise(bytes: Uint8Array, length: number): Spoken {
  if (length === 0) return 'more'
  if (beginsWith(bytes, length, preface)) return length >= PREFACE_TOLD ? 'http2' : 'more'
  const first = bytes[0] as number
  if (first === TLS_HANDSHAKE) return length === 1 ? 'more' : bytes[1] === TLS_MAJOR ? 'tls' : 'unknown'
  if (beginsWith(bytes, length, PROXY_SIGNATURE)) return length >= PROXY_SIGNATURE.length ? 'proxy' : 'more'
  return isLetter(first) ? 'http1' : 'unknown'
}

/** As far as both go. */
function beginsWith(bytes: Uint8Array, length: number, what: Uint8Array): boolean {
  const seen = Math.min(length, what.length)
  for (let i = 0; i < seen; i++) if (bytes[i] !== what[i]) return false
  return true
}

const isLetter = (byte: number): boolean => (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
