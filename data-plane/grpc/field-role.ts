/**
 * What a header field means to the proxy, by its name. Found once for each name: a name that comes often is one object, which remembers it, and
 * every field of every head asks.
 */
import { SESSION_HEADER } from '../../core/mesh-snapshot.ts'
import { type HeaderField, valueText } from '../http2/header-field.ts'
import type { HeaderName } from '../http2/header-name.ts'

export type Role =
  | 'pseudo'
  /** Of the connection, not of the request or the answer (RFC 9113 §8.2.2). */
  | 'hop'
  | 'te'
  | 'content-type'
  | 'length'
  | 'timeout'
  | 'encoding'
  | 'trace'
  /** A hint for the choice of an endpoint. */
  | 'session'
  /** Ours to write: a client must not be able to make an attempt look like a retry. */
  | 'ours'
  /** Of answers. */
  | 'status'
  /** Of answers; as free text it is held to less than other fields, and has no business in a request. */
  | 'message'
  /** Of answers: what the server says of its load. */
  | 'load'
  /** Nothing of the proxy's: it goes on as it came. */
  | 'other'

const ROLES: ReadonlyMap<string, Role> = new Map<string, Role>([
  ...['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'].map((name) => [name, 'hop'] as const),
  ['te', 'te'],
  ['content-type', 'content-type'],
  ['content-length', 'length'],
  ['grpc-timeout', 'timeout'],
  ['grpc-encoding', 'encoding'],
  ['traceparent', 'trace'],
  [SESSION_HEADER, 'session'],
  ['grpc-previous-rpc-attempts', 'ours'],
  ['grpc-status', 'status'],
  ['grpc-message', 'message'],
  ['endpoint-load-metrics-bin', 'load'],
  ['endpoint-load-metrics', 'load'],
])

export function roleOf({ header }: HeaderField): Role {
  header.memo ??= find(header)
  return header.memo as Role
}

function find({ text, pseudo }: HeaderName): Role {
  if (pseudo) return 'pseudo'
  return ROLES.get(text) ?? (text.startsWith('x-millrace-') ? 'ours' : 'other')
}

/** `application/grpc`, and `application/grpc+proto` and its kin. The verdict is remembered on the field: peers index it. */
export function isGrpcType(field: HeaderField): boolean {
  if (typeof field.memo === 'boolean') return field.memo
  const text = valueText(field)
  const verdict = text === 'application/grpc' || text.startsWith('application/grpc+') || text.startsWith('application/grpc;')
  field.memo = verdict
  return verdict
}
