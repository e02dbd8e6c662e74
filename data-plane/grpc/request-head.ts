/**
 * Reads a request's header fields once: checks them as RFC 9113 §8.3 asks, picks out what the proxy decides by, and keeps what goes on upstream.
 * The path, the deadline and the hop's own fields are left out of what goes on; each attempt writes its own.
 */
import { SESSION_HEADER } from '../../core/mesh-snapshot.ts'
import type { Millis } from '../../core/units.ts'
import { bodyLengthOf } from '../http2/head-rules.ts'
import { type HeaderField, headerField, valueText } from '../http2/header-field.ts'
import { BODY_UNSTATED } from '../http2/stream.ts'
import { formatTimeout, parseTimeout } from './timeout.ts'

export type RequestHead = {
  readonly path: string
  readonly pathField: HeaderField
  readonly authority: HeaderField | undefined
  readonly scheme: HeaderField
  readonly method: string
  readonly isGrpc: boolean
  /** `content-length`, which the body must hold to. */
  readonly bodyLength: number | undefined
  /** Undefined: no deadline. */
  readonly timeout: Millis | undefined
  /** `grpc-encoding`; `identity` when absent. */
  readonly encoding: string
  /** `traceparent`, which goes on as it came. */
  readonly trace: HeaderField | undefined
  /** A hint for the choice of an endpoint: it stays here. */
  readonly session: HeaderField | undefined
  /** Everything that goes on as it came. */
  readonly forward: readonly HeaderField[]
}

const METHOD_POST = headerField(':method', 'POST')
const TE_TRAILERS = headerField('te', 'trailers')

/** RFC 9113 §8.2.2: of the connection, not of the request; a request that carries one is malformed. */
const HOP_FIELDS: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

type Role = 'trace' | 'length' | 'forward' | 'pseudo' | 'te' | 'timeout' | 'encoding' | 'content-type' | 'hop' | 'session' | 'ours'

const ROLES: ReadonlyMap<string, Role> = new Map<string, Role>([
  ['te', 'te'],
  ['grpc-timeout', 'timeout'],
  ['grpc-encoding', 'encoding'],
  ['content-type', 'content-type'],
  ['content-length', 'length'],
  ['traceparent', 'trace'],
  // Ours to write: a client must not be able to make an attempt look like a retry.
  ['grpc-previous-rpc-attempts', 'ours'],
  // Of answers; as free text it is held to less than other fields, and has no business in a request.
  ['grpc-message', 'ours'],
  [SESSION_HEADER, 'session'],
  ...[...HOP_FIELDS].map((name) => [name, 'hop'] as const),
])

function roleOf(field: HeaderField): Role {
  const known = ROLES.get(field.name)
  if (known !== undefined) return known
  const first = field.name.charCodeAt(0)
  if (first === 0x3a) return 'pseudo'
  return first === 0x78 && field.name.startsWith('x-millrace-') ? 'ours' : 'forward'
}

export type BadHead = { readonly kind: 'malformed' } | { readonly kind: 'bad-timeout' }

export function readRequestHead(fields: readonly HeaderField[]): RequestHead | BadHead {
  let method: HeaderField | undefined
  let path: HeaderField | undefined
  let scheme: HeaderField | undefined
  let authority: HeaderField | undefined
  let isGrpc = false
  let timeout: Millis | undefined
  let bodyLength: number | undefined
  let trace: HeaderField | undefined
  let encoding = 'identity'
  let session: HeaderField | undefined
  const forward: HeaderField[] = []
  let regular = false
  for (const field of fields) {
    const role = roleOf(field)
    if (role === 'pseudo') {
      if (regular) return MALFORMED
      if (field.name === ':path' && path === undefined) path = field
      else if (field.name === ':method' && method === undefined) method = field
      else if (field.name === ':scheme' && scheme === undefined) scheme = field
      else if (field.name === ':authority' && authority === undefined) authority = field
      else return MALFORMED
      continue
    }
    regular = true
    switch (role) {
      case 'forward':
        forward.push(field)
        break
      case 'content-type':
        isGrpc = isGrpcType(field)
        forward.push(field)
        break
      case 'encoding':
        encoding = valueText(field)
        forward.push(field)
        break
      case 'timeout':
        timeout = parseTimeout(valueText(field))
        if (timeout === undefined) return { kind: 'bad-timeout' }
        break
      case 'length':
        if (bodyLength !== undefined) return MALFORMED
        bodyLength = bodyLengthOf(field)
        if (bodyLength === BODY_UNSTATED) return MALFORMED
        forward.push(field)
        break
      case 'trace':
        trace ??= field
        forward.push(field)
        break
      case 'te':
        if (valueText(field) !== 'trailers') return MALFORMED
        break
      case 'hop':
        return MALFORMED
      case 'session':
        session ??= field
        break
      case 'ours':
        break
      default:
        return role satisfies never
    }
  }
  if (method === undefined || scheme === undefined || path === undefined || path.value.length === 0) return MALFORMED
  return {
    path: valueText(path),
    pathField: path,
    authority,
    scheme,
    method: valueText(method),
    isGrpc: isGrpc && valueText(method) === 'POST',
    bodyLength,
    timeout,
    encoding,
    trace,
    session,
    forward,
  }
}

/** The head of one attempt. `attempt` counts from 0; `left` is what remains of the deadline now. */
export function upstreamHead(head: RequestHead, path: HeaderField, attempt: number, left: Millis | undefined): HeaderField[] {
  const fields: HeaderField[] = [METHOD_POST, head.scheme, path]
  if (head.authority !== undefined) fields.push(head.authority)
  fields.push(TE_TRAILERS)
  if (left !== undefined) fields.push(headerField('grpc-timeout', formatTimeout(left)))
  if (attempt > 0) fields.push(headerField('grpc-previous-rpc-attempts', String(attempt)))
  for (const field of head.forward) fields.push(field)
  return fields
}

const MALFORMED: BadHead = { kind: 'malformed' }

/** `application/grpc`, and `application/grpc+proto` and its kin. The verdict is remembered on the field: clients index it. */
function isGrpcType(field: HeaderField): boolean {
  if (typeof field.memo === 'boolean') return field.memo
  const text = valueText(field)
  const verdict = text === 'application/grpc' || text.startsWith('application/grpc+') || text.startsWith('application/grpc;')
  field.memo = verdict
  return verdict
}
