/** The load that a server tells with an answer, in its last fields. */
import type { Millis } from '../../core/units.ts'
import type { RequestTally } from '../admission/request-tally.ts'
import { readOrca } from '../grpc/orca.ts'
import type { HeaderField } from '../http2/header-field.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'

export function hearLoad(slot: EndpointSlot, fields: readonly HeaderField[], tally: RequestTally, now: Millis): void {
  const load = readOrca(fields)
  if (load === undefined) return
  if (load === 'unreadable') tally.loadsUnreadable++
  else {
    tally.loadsInBand++
    slot.reportInBand(load, now)
  }
}
