/** Which endpoints may answer a request, and why nobody may. */
import type { Reason } from '../../core/mesh-error.ts'
import type { Protocol } from '../../core/mesh-snapshot.ts'
import type { Candidates } from '../routing/model-groups.ts'
import type { RoutingTable } from '../routing/routing-table.ts'
import type { Exchange } from './exchange.ts'

export function modelOf(exchange: Exchange): string {
  if (exchange.method.kind === 'route') return exchange.method.model
  return exchange.scanner?.model ?? '*'
}

export function candidatesOf({ method, scanner }: Exchange, routing: RoutingTable): Candidates | undefined {
  if (method.kind === 'route') return routing.routedTo(method.model)
  const model = scanner?.model
  return model === undefined ? routing.someCandidates : routing.candidatesFor(model)
}

const PROTOCOL_WORDS = { KSERVE_GRPC: "KServe's gRPC", GRPC: "another gRPC service than KServe's", HTTP: 'HTTP' } as const satisfies Record<
  Protocol,
  string
>

export function whyUnserved(model: string, routing: RoutingTable): { readonly reason: Reason; readonly detail: string } {
  const named = `model ${JSON.stringify(model)}`
  if (routing.size === 0) return { reason: 'no-ready-endpoint', detail: 'no endpoint is known yet' }
  const protocol = routing.servedOtherwise(model)
  if (protocol === undefined) return { reason: 'unknown-model', detail: `no endpoint serves ${named}` }
  const cure = protocol === 'GRPC' ? 'call that service, by a prefix under "routes"' : 'this proxy passes no requests on to HTTP'
  return { reason: 'other-protocol', detail: `${named} is served by ${PROTOCOL_WORDS[protocol]} only: ${cure}` }
}
