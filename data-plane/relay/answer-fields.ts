/** What an endpoint's last fields mean, and which of its fields go on to the client. */
import { roleOf } from '../grpc/field-role.ts'
import { GRPC } from '../grpc/status.ts'
import { type HeaderField, hasBlankEnd, headerField, valueText } from '../http2/header-field.ts'
import type { Outcome } from '../routing/ledger.ts'
import { nameOf } from '../routing/resolve-model.ts'
import type { Exchange } from './exchange.ts'

/**
 * What a status that a live server gave says of it. RESOURCE_EXHAUSTED and UNAVAILABLE mean that it is full, since Triton's full queue says so. What is left
 * beside the server's own faults is about the request: a caller who asks for nonsense must not make a server look sick.
 */
export function outcomeOf(status: number): Outcome {
  switch (status) {
    case GRPC.OK:
      return 'success'
    case GRPC.RESOURCE_EXHAUSTED:
    case GRPC.UNAVAILABLE:
      return 'backpressure'
    case GRPC.UNKNOWN:
    case GRPC.INTERNAL:
    case GRPC.DATA_LOSS:
      return 'failure'
    default:
      return 'neither'
  }
}

/** What of an answer goes on: not the hop's own fields, and no text with bare blanks at its ends. Of nearly all answers that is all of it. */
export function passedOn(fields: readonly HeaderField[]): readonly HeaderField[] {
  for (let at = 0; at < fields.length; at++) if (!goesOn(fields[at] as HeaderField)) return mended(fields)
  return fields
}

function goesOn(field: HeaderField): boolean {
  const role = roleOf(field)
  return role !== 'hop' && (role !== 'message' || !hasBlankEnd(field.memory, field.valueAt, field.valueEnd))
}

const mended = (fields: readonly HeaderField[]): readonly HeaderField[] =>
  fields
    .filter((one) => roleOf(one) !== 'hop')
    .map((one) => (goesOn(one) ? one : headerField(one.name, valueText(one).replace(/^[ \t]+|[ \t]+$/g, ''))))

/** Who answered, for those who may know. */
export function whoAnswered({ slot, attempts, aim }: Exchange): readonly HeaderField[] {
  if (slot === undefined) return []
  const fields = [headerField('x-millrace-endpoint', slot.id), headerField('x-millrace-attempts', String(attempts))]
  if (aim !== undefined) fields.push(headerField('x-millrace-model', nameOf(aim.target)))
  return fields
}
