/**
 * Reads a request's header fields once: checks them as RFC 9113 §8.3 asks, picks out what the proxy decides by, and keeps what goes on upstream.
 * The path, the deadline and the hop's own fields are left out of what goes on; each attempt writes its own.
 */
import type { Millis } from '../../core/units.ts'
import { bodyLengthOf } from '../http2/head-rules.ts'
import { type HeaderField, headerField, valueText } from '../http2/header-field.ts'
import { BODY_UNSTATED } from '../http2/stream.ts'
import { isGrpcType, roleOf } from './field-role.ts'
import { parseTimeout, timeoutField } from './timeout.ts'

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
      case 'other':
      case 'status':
      case 'load':
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
      case 'message':
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
  if (left !== undefined) fields.push(timeoutField(left))
  if (attempt > 0) fields.push(headerField('grpc-previous-rpc-attempts', String(attempt)))
  for (const field of head.forward) fields.push(field)
  return fields
}

const MALFORMED: BadHead = { kind: 'malformed' }
