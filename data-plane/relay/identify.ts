/** What kind of request a head begins: by a method that the proxy knows, or else by a route's prefix. */
import type { Reason } from '../../core/mesh-error.ts'
import { METHODS, type Method } from '../grpc/methods.ts'
import type { RoutingTable } from '../routing/routing-table.ts'

type Own = Extract<Method, { readonly kind: 'own' }>

/** What an exchange may be of. */
export type RequestMethod =
  | Exclude<Method, { readonly kind: 'own' | 'off' }>
  /** To whoever serves the route's model; what is asked is no concern of ours. */
  | { readonly kind: 'route'; readonly model: string }

export type NotServed = { readonly kind: 'not-served'; readonly reason: Reason; readonly detail: string }

export function identify(path: string, routing: Pick<RoutingTable, 'routeOf'>): RequestMethod | Own | NotServed {
  const method = METHODS.get(path)
  if (method?.kind === 'off') return { kind: 'not-served', reason: 'method-off', detail: `${path} is off: ${method.cure}` }
  if (method !== undefined) return method
  const model = routing.routeOf(path)
  if (model !== undefined) return { kind: 'route', model }
  return { kind: 'not-served', reason: 'unknown-method', detail: `no route for ${path}: add one under "routes"` }
}
