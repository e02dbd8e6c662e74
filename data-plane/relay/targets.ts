/** Which model a request means, which endpoints may answer it, and why nobody may. */
import { hashText } from '../../core/key-hash.ts'
import type { Reason } from '../../core/mesh-error.ts'
import type { Protocol } from '../../core/mesh-snapshot.ts'
import type { Millis } from '../../core/units.ts'
import type { FrontDesk } from '../admission/front-desk.ts'
import type { RequestTally } from '../admission/request-tally.ts'
import { upstreamHead } from '../grpc/request-head.ts'
import type { ScanRefusal } from '../grpc/request-scanner.ts'
import type { HeaderField } from '../http2/header-field.ts'
import { Aim } from '../routing/aim.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { pointOf } from '../routing/resolve-model.ts'
import type { RoutingTable } from '../routing/routing-table.ts'
import type { Exchange } from './exchange.ts'
import { keyOf } from './request-key.ts'

/** What rows say of the model that is asked for, drawn once; nothing in most meshes, and for most models. */
export function takeAim(exchange: Exchange, { targets }: RoutingTable, draw: () => number, tally: RequestTally): void {
  if (targets.size === 0) return
  const { method, scanner } = exchange
  const model = method.kind === 'route' ? method.model : scanner?.model
  if (model === undefined || !targets.has(model)) return
  const sequence = scanner?.sequence
  // All requests of a sequence or a session mean the same, whichever proxy they come to.
  const key = sequence === undefined ? keyOf(exchange, targets.get(model)?.hashOn) : hashText(sequence.id)
  const by = method.kind !== 'by-model' ? 'path' : method.infers ? 'inference' : 'question'
  const asked = { model, version: scanner?.version ?? '', by, inSequence: sequence !== undefined } as const
  exchange.aim = Aim.take(targets, asked, key === undefined ? draw() : pointOf(key), draw)
  tally.aimed[exchange.aim.target.why]++
}

/** Before an attempt: a model of which nobody serves gives way to a fall-back. */
export function settleAim({ method, aim }: Exchange, routing: RoutingTable, tally: RequestTally): void {
  if (aim === undefined) return
  const moved = aim.preferServing(({ model, version }) =>
    method.kind === 'route' ? routing.servesRoutedTo(model, version) : routing.serves(model, version),
  )
  if (moved) tally.aimed.fallback++
}

/** Why it cannot go on under another name, where it would have to. */
export function unrenamable({ scanner, aim }: Exchange): ScanRefusal | undefined {
  if (aim?.renames === true) scanner?.forbidRepeats()
  return scanner?.refusal
}

/** The next fall-back is meant from here on, with nobody tried yet and by its own queue; false when there is none. */
export function fallBack(exchange: Exchange, tally: RequestTally, desk: Pick<FrontDesk<Exchange>, 'ended'>): boolean {
  if (exchange.aim?.fallBack() !== true) return false
  exchange.excluded = []
  if (exchange.pass !== undefined) desk.ended(exchange, exchange.pass)
  exchange.pass = undefined
  tally.aimed.fallback++
  return true
}

export function modelOf({ method, scanner, aim }: Exchange): string {
  if (aim !== undefined) return aim.target.model
  if (method.kind === 'route') return method.model
  return scanner?.model ?? '*'
}

/** In words that a caller and an operator both know. */
export function modelInWords(exchange: Exchange): string {
  const { aim } = exchange
  const version = versionOf(exchange)
  const words = `model ${JSON.stringify(modelOf(exchange))}${version === '' ? '' : ` version ${JSON.stringify(version)}`}`
  return aim?.renames === true ? `${words} (asked for as ${JSON.stringify(aim.asked.model)})` : words
}

const versionOf = ({ scanner, aim }: Exchange): string => aim?.target.version ?? scanner?.version ?? ''

export function candidatesOf(exchange: Exchange, routing: RoutingTable): Candidates | undefined {
  const { method, scanner, aim } = exchange
  const model = aim?.target.model ?? (method.kind === 'route' ? method.model : scanner?.model)
  if (model === undefined) return routing.someCandidates
  const version = versionOf(exchange)
  return method.kind === 'route' ? routing.routedTo(model, version) : routing.candidatesFor(model, version)
}

/** As the next attempt writes it: a message that is renamed has another length than its client said. */
export function headOf({ head, method, aim, attempts }: Exchange, left: Millis | undefined): HeaderField[] {
  const path = 'upstreamPath' in method ? method.upstreamPath : head.pathField
  if (aim?.renames !== true || head.bodyLength === undefined) return upstreamHead(head, path, attempts, left)
  return upstreamHead({ ...head, forward: head.forward.filter(({ name }) => name !== 'content-length') }, path, attempts, left)
}

const PROTOCOL_WORDS = { KSERVE_GRPC: "KServe's gRPC", GRPC: "another gRPC service than KServe's", HTTP: 'HTTP' } as const satisfies Record<
  Protocol,
  string
>

/** Why none of the model's endpoints is asked. `pinned`: one alone may be. */
export function whyNobody(
  exchange: Exchange,
  candidates: Candidates,
  pinned: boolean,
): { readonly reason: Reason; readonly detail: string } {
  const named = modelInWords(exchange)
  const tried = exchange.excluded.length
  if (tried === 0) return { reason: 'no-ready-endpoint', detail: `${named}: none is READY of ${candidates.size} endpoints` }
  if (!pinned) return { reason: 'no-ready-endpoint', detail: `${named}: ${tried} tried of ${candidates.size} endpoints` }
  const what = exchange.scanner?.sequence === undefined ? 'session' : 'sequence'
  return { reason: 'owner-unavailable', detail: `${named}: the endpoint that its ${what} is pinned to did not take it, and no other may` }
}

export function whyUnserved(exchange: Exchange, routing: RoutingTable): { readonly reason: Reason; readonly detail: string } {
  const model = modelOf(exchange)
  const named = modelInWords(exchange)
  if (routing.size === 0) return { reason: 'no-ready-endpoint', detail: 'no endpoint is known yet' }
  const protocol = routing.candidatesFor(model) === undefined ? routing.servedOtherwise(model) : undefined
  if (protocol === undefined) return { reason: 'unknown-model', detail: `no endpoint serves ${named}` }
  const cure = protocol === 'GRPC' ? 'call that service, by a prefix under "routes"' : 'this proxy passes no requests on to HTTP'
  return { reason: 'other-protocol', detail: `${named} is served by ${PROTOCOL_WORDS[protocol]} only: ${cure}` }
}
