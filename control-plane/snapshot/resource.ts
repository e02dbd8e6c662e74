/** An endpoint as proxies get it: the message, its version by content, and its bytes, encoded once however many proxies read them. */
import type { Freshness as FreshnessName, Panic as PanicName, EndpointState as StateName } from '../../core/mesh-snapshot.ts'
import {
  type Endpoint,
  Endpoint as EndpointMessage,
  EndpointState,
  EndpointsDelta,
  Freshness,
  Panic,
} from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { type Hash, hashBytes, hashText } from './content-hash.ts'

export type Resource = {
  readonly endpoint: Endpoint
  readonly factors: Readonly<Record<string, number>>
  readonly hash: Hash
  readonly version: string
  /** A delta that holds this one upsert; laid end to end they make the delta of many. */
  readonly upsert: Uint8Array
}

export const STATE_NUMBER: Readonly<Record<StateName, EndpointState>> = {
  STARTING: EndpointState.ENDPOINT_STATE_STARTING,
  READY: EndpointState.ENDPOINT_STATE_READY,
  BUSY: EndpointState.ENDPOINT_STATE_BUSY,
  DRAINING: EndpointState.ENDPOINT_STATE_DRAINING,
  FAILED: EndpointState.ENDPOINT_STATE_FAILED,
  PROBATION: EndpointState.ENDPOINT_STATE_PROBATION,
}

const NAMES = new Map(Object.entries(STATE_NUMBER).map(([name, number]) => [number, name as StateName]))

export const stateName = (state: EndpointState): string => NAMES.get(state) ?? ''

export const FRESHNESS_NUMBER: Readonly<Record<FreshnessName, Freshness>> = {
  fresh: Freshness.FRESHNESS_FRESH,
  stale: Freshness.FRESHNESS_STALE,
  'last-resort': Freshness.FRESHNESS_LAST_RESORT,
}

export const PANIC_NUMBER: Readonly<Record<PanicName, Panic>> = { may: Panic.PANIC_MAY, never: Panic.PANIC_NEVER }

export function makeResource(endpoint: Endpoint, factors: Readonly<Record<string, number>>): Resource {
  const hash = hashBytes(EndpointMessage.encode(endpoint).finish())
  const version = hashText(hash)
  const upsert = EndpointsDelta.encode(EndpointsDelta.fromPartial({ upserts: [{ version, endpoint }] })).finish()
  return { endpoint, factors, hash, version, upsert }
}

/** Cheaper than encoding: nearly every report leaves the endpoint as it was. */
export function sameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return (
    a.id === b.id &&
    a.node === b.node &&
    a.zone === b.zone &&
    a.address === b.address &&
    a.protocol === b.protocol &&
    a.weight === b.weight &&
    a.state === b.state &&
    a.stateReason === b.stateReason &&
    a.freshness === b.freshness &&
    a.panic === b.panic &&
    a.capacity === b.capacity &&
    a.slowStart === b.slowStart &&
    a.models.length === b.models.length &&
    a.models.every((model, at) => model === b.models[at])
  )
}
