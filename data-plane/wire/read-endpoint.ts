/** The one door for endpoints and loads that a control plane tells of. Behind it states, protocols and weights are ones that this proxy knows. */
import { isEndpointId } from '../../core/ids.ts'
import type { LoadVector } from '../../core/load-vector.ts'
import type { Endpoint, EndpointState, Freshness, Panic, Protocol } from '../../core/mesh-snapshot.ts'
import {
  type Endpoint as WireEndpoint,
  Freshness as WireFreshness,
  Panic as WirePanic,
  EndpointState as WireState,
} from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { type EndpointLoad, Protocol as WireProtocol } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

const STATES: Readonly<Partial<Record<WireState, EndpointState>>> = {
  [WireState.ENDPOINT_STATE_STARTING]: 'STARTING',
  [WireState.ENDPOINT_STATE_READY]: 'READY',
  [WireState.ENDPOINT_STATE_BUSY]: 'BUSY',
  [WireState.ENDPOINT_STATE_DRAINING]: 'DRAINING',
  [WireState.ENDPOINT_STATE_FAILED]: 'FAILED',
  [WireState.ENDPOINT_STATE_PROBATION]: 'PROBATION',
}

const PANIC: Readonly<Partial<Record<WirePanic, Panic>>> = {
  [WirePanic.PANIC_MAY]: 'may',
  [WirePanic.PANIC_NEVER]: 'never',
}

const FRESHNESS: Readonly<Partial<Record<WireFreshness, Freshness>>> = {
  [WireFreshness.FRESHNESS_UNSPECIFIED]: 'fresh',
  [WireFreshness.FRESHNESS_FRESH]: 'fresh',
  [WireFreshness.FRESHNESS_STALE]: 'stale',
  [WireFreshness.FRESHNESS_LAST_RESORT]: 'last-resort',
}

/** A control plane that says nothing of protocols knows of KServe only. */
const PROTOCOLS: Readonly<Partial<Record<WireProtocol, Protocol>>> = {
  [WireProtocol.PROTOCOL_UNSPECIFIED]: 'KSERVE_GRPC',
  [WireProtocol.PROTOCOL_KSERVE_GRPC]: 'KSERVE_GRPC',
  [WireProtocol.PROTOCOL_GRPC]: 'GRPC',
  [WireProtocol.PROTOCOL_HTTP]: 'HTTP',
}

/** In words, why it is none. */
export function readEndpoint(wire: WireEndpoint): Endpoint | string {
  const state = STATES[wire.state]
  const freshness = FRESHNESS[wire.freshness]
  const protocol = PROTOCOLS[wire.protocol]
  if (!isEndpointId(wire.id) || wire.address === '') return 'an endpoint without an address, or with an id that has blanks'
  if (state === undefined || freshness === undefined) return `endpoint ${wire.id}: a state that this proxy does not know`
  if (protocol === undefined) return `endpoint ${wire.id}: a protocol that this proxy does not know`
  if (!(wire.weight >= 0)) return `endpoint ${wire.id}: weight ${wire.weight} is not a number ≥ 0`
  const { id, node, zone, address, models, weight, capacity, slowStart } = wire
  if (slowStart !== undefined && !(slowStart > 0 && slowStart <= 1)) return `endpoint ${wire.id}: slow start ${slowStart} is not in 0..1`
  const panic = PANIC[wire.panic]
  const rare = { ...(panic !== undefined && { panic }), ...(slowStart !== undefined && { slowStart }) }
  return { id, node, zone, address, protocol, models, weight, state, freshness, capacity, ...rare }
}

export const readLoad = (wire: EndpointLoad): LoadVector => ({
  ...(wire.queueDepth !== undefined && { queueDepth: wire.queueDepth }),
  ...(wire.running !== undefined && { running: wire.running }),
  ...(wire.kvCacheUse !== undefined && { kvCacheUse: wire.kvCacheUse }),
  ...(wire.tokensPerS !== undefined && { tokensPerSecond: wire.tokensPerS }),
  ...(wire.requestsPerS !== undefined && { requestsPerSecond: wire.requestsPerS }),
})
