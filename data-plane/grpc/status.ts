/** gRPC statuses: how a failure is written as a response head or trailers, and what an upstream's answer or reset means. */
import { type HeaderField, headerField, valueText } from '../http2/header-field.ts'
import { ERROR } from '../http2/protocol.ts'
import { roleOf } from './field-role.ts'

export const GRPC = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const

/** As nearly every peer writes it: an entry of HPACK's static table is one object. */
export const STATUS_200 = headerField(':status', '200')
const CONTENT_TYPE = headerField('content-type', 'application/grpc')

/** Trailers behind a response head that has gone out. */
export const trailers = (status: number, detail: string): HeaderField[] => [
  headerField('grpc-status', String(status)),
  ...(detail === '' ? [] : [headerField('grpc-message', percentEncode(detail))]),
]

/** A whole answer in one header block, which keeps the request retryable for the client. */
export const trailersOnly = (status: number, detail: string): HeaderField[] => [STATUS_200, CONTENT_TYPE, ...trailers(status, detail)]

export const responseHead = (): HeaderField[] => [STATUS_200, CONTENT_TYPE]

/** The status that trailers carry; undefined when there is none or it is not a number. */
export function statusOf(fields: readonly HeaderField[]): number | undefined {
  for (const field of fields)
    if (roleOf(field) === 'status') {
      const value = field.value
      if (value.length === 1) {
        const digit = (value[0] as number) - 48
        return digit >= 0 && digit <= 9 ? digit : undefined
      }
      const text = valueText(field)
      return /^\d{1,2}$/.test(text) ? Number(text) : undefined
    }
  return undefined
}

export const messageOf = (fields: readonly HeaderField[]): string => {
  const field = fields.find((one) => one.name === 'grpc-message')
  return field === undefined ? '' : percentDecode(valueText(field))
}

/** gRPC over HTTP/2, "HTTP2 Transport Mapping": what a reset stands for. CANCEL by a server is the server's failure, never the client's wish. */
export function statusOfReset(code: number): number {
  switch (code) {
    case ERROR.REFUSED_STREAM:
    case ERROR.CANCEL:
      return GRPC.UNAVAILABLE
    case ERROR.ENHANCE_YOUR_CALM:
      return GRPC.RESOURCE_EXHAUSTED
    case ERROR.INADEQUATE_SECURITY:
      return GRPC.PERMISSION_DENIED
    default:
      return GRPC.INTERNAL
  }
}

/** What an HTTP status stands for when a server answered without gRPC. */
export function statusOfHttp(status: number): number {
  switch (status) {
    case 400:
    case 431:
      return GRPC.INTERNAL
    case 401:
      return GRPC.UNAUTHENTICATED
    case 403:
      return GRPC.PERMISSION_DENIED
    case 404:
      return GRPC.UNIMPLEMENTED
    case 429:
    case 502:
    case 503:
    case 504:
      return GRPC.UNAVAILABLE
    default:
      return GRPC.UNKNOWN
  }
}

/** As gRPC asks, and blanks at the ends too: no header value may begin or end with one. */
export function percentEncode(text: string): string {
  const bytes = new TextEncoder().encode(text)
  let out = ''
  for (const [at, byte] of bytes.entries()) {
    const plain = byte > 0x20 || (byte === 0x20 && at > 0 && at < bytes.length - 1)
    out += plain && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return out
}

function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
