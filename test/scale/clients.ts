/** A process that stands for many proxies: each holds its mesh stream, answers, and tells once a second what it holds against some endpoints. */
import { EndpointState } from '../../proto/gen/millrace/mesh/v1/mesh.ts'
import { machineNow, obey } from './helper.ts'
import { DeltaReader, encodeMessage, MeshPeer, type PeerCounts, type PeerDelta } from './mesh-peer.ts'
import { endpointsOf } from './node-speech.ts'

export type ClientsPlan = {
  readonly address: string
  readonly from: number
  readonly to: number
  readonly nodes: number
  /** Endpoints in one report of a proxy. */
  readonly rows: number
}

export type ClientsCommand =
  | { readonly kind: 'tally' }
  /** Tells when each client has heard that all of these are FAILED. */
  | { readonly kind: 'watch'; readonly ids: readonly string[] }
  | { readonly kind: 'watch-all' }
  /** States and freshness as the first client holds them. */
  | { readonly kind: 'picture' }

export type ClientsNotice =
  /** Every client holds every endpoint. */
  | { readonly kind: 'whole' }
  /** The watch is in place. */
  | { readonly kind: 'watching' }
  | { readonly kind: 'seen'; readonly at: readonly number[] }
  | ({ readonly kind: 'tally'; readonly at: number } & PeerCounts)
  | { readonly kind: 'picture'; readonly counts: Readonly<Record<string, number>> }

const REPORT_MS = 1_000
/** Clients connect one after the other, and so many of them may lack a part of the fleet: as proxies do that are rolled out. */
const CONNECT_EACH_MS = 5
const INCOMPLETE_MAX = 16
/** Different reports of outcomes, encoded once. */
const VARIANTS = 8

obey<ClientsPlan, ClientsCommand, ClientsNotice>(async (plan, tell) => {
  const all = Array.from({ length: plan.nodes }, (_, at) => endpointsOf(at)).flat()
  const reader = new DeltaReader()
  const counts: PeerCounts = { messages: 0, bytes: 0, acks: 0, reports: 0 }
  const reports = Array.from({ length: VARIANTS }, (_, variant) => outcomes(all, plan.rows, variant))
  const held = new Map<string, string>()
  const size = plan.to - plan.from
  const heldBy = new Array<number>(size).fill(0)
  let whole = 0
  let watching = false
  /** Of each client, what it has not heard to be FAILED; some are told more than once, as when the reason changes. */
  let missing: Set<string>[] = []
  let seen: number[] = []

  const onDelta = (client: number, delta: PeerDelta): void => {
    if (delta.count === 0) return
    if (client === 0)
      for (const { endpoint } of delta.upserts()) if (endpoint) held.set(endpoint.id, `${endpoint.state} ${endpoint.freshness}`)
    if (whole < size) {
      // In its first picture a client hears of each endpoint once.
      const before = heldBy[client] ?? 0
      heldBy[client] = before + delta.count
      if (before < all.length && before + delta.count >= all.length && ++whole === size) tell({ kind: 'whole' })
    }
    const waits = missing[client]
    if (!watching || waits === undefined || waits.size === 0) return
    for (const { endpoint } of delta.upserts()) if (endpoint?.state === EndpointState.ENDPOINT_STATE_FAILED) waits.delete(endpoint.id)
    if (waits.size > 0) return
    seen.push(machineNow())
    if (seen.length < size) return
    watching = false
    tell({ kind: 'seen', at: seen })
  }
  const onEnd = (why: string): void => {
    process.stderr.write(`a mesh client lost its stream: ${why}\n`)
    process.exit(1)
  }
  const watch = (ids: readonly string[]): void => {
    watching = true
    missing = Array.from({ length: size }, () => new Set(ids))
    seen = []
    tell({ kind: 'watching' })
  }
  for (let client = 0; client < size; client++) {
    const hello = { proxyId: `proxy-${plan.from + client}`, zone: `zone-${client % 3}` }
    const peer = new MeshPeer(plan.address, hello, reader, counts, (delta) => onDelta(client, delta), onEnd)
    let said = client
    setTimeout(
      () => setInterval(() => peer.report(reports[said++ % VARIANTS] as Buffer), REPORT_MS),
      // Spread over the second, as proxies are that were not started by one clock.
      (client * REPORT_MS) / size,
    )
    do await new Promise((resolve) => setTimeout(resolve, CONNECT_EACH_MS))
    while (client + 1 - whole >= INCOMPLETE_MAX)
  }
  return (command) => {
    switch (command.kind) {
      case 'tally':
        tell({ kind: 'tally', at: machineNow(), ...counts })
        return
      case 'watch':
        watch(command.ids)
        return
      case 'watch-all':
        watch(all)
        return
      case 'picture':
        tell({ kind: 'picture', counts: countOf(held.values()) })
        return
      default:
        command satisfies never
    }
  }
})

function outcomes(all: readonly string[], rows: number, variant: number): Buffer {
  const step = Math.max(1, Math.floor(all.length / rows))
  const endpoints = Array.from({ length: Math.min(rows, all.length) }, (_, row) => ({
    endpointId: all[(row * step + variant) % all.length] ?? '',
    inFlight: (row + variant) % 7,
    successes: BigInt(20 + row),
    backpressures: 0n,
    failures: 0n,
    ejected: false,
  }))
  return encodeMessage({ message: { $case: 'report', value: { endpoints } } })
}

function countOf(values: Iterable<string>): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1
  return counts
}
