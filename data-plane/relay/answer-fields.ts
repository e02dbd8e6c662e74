/** What an endpoint's last fields mean, and which of its fields go on to the client. */
import { GRPC } from '../grpc/status.ts'
import { type HeaderField, headerField, valueText } from '../http2/header-field.ts'
import type { Outcome } from '../routing/ledger.ts'

/** Of the connection to the server, not of the answer. */
const HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'])

/** RESOURCE_EXHAUSTED and UNAVAILABLE from a live server mean that it is full; any other status is an answer. */
export function outcomeOf(status: number): Outcome {
  return status === GRPC.RESOURCE_EXHAUSTED || status === GRPC.UNAVAILABLE ? 'backpressure' : 'success'
}

/** What of an answer goes on: not the hop's own fields, and no text with bare blanks at its ends. */
export function passedOn(fields: readonly HeaderField[]): readonly HeaderField[] {
  for (const field of fields)
    if (HOP.has(field.name) || field.name === 'grpc-message')
      return fields
        .filter((one) => !HOP.has(one.name))
        .map((one) => (one.name === 'grpc-message' ? headerField('grpc-message', valueText(one).replace(/^[ \t]+|[ \t]+$/g, '')) : one))
  return fields
}
