/** What the front desk asks about an exchange: its bytes and its metadata, its deadline and its client. */
import { valueText } from '../http2/header-field.ts'
import type { Exchange } from '../relay/exchange.ts'
import type { DeskReader } from './front-desk.ts'

export const exchangeReader: DeskReader<Exchange> = {
  arrivalOf(exchange, { priorityKey, tenantKey }) {
    const { deadline, received, requestEnded } = exchange
    const [band, tenant] = [metadata(exchange, priorityKey), metadata(exchange, tenantKey) ?? '']
    return { holder: exchange, deadline, bytes: received, more: !requestEnded, band, tenant }
  },
  /** A request of a sequence that has begun is for the server that holds its state. */
  goesOn: ({ scanner }) => scanner?.sequence?.starts === false,
  gone: ({ down }) => down.gone,
  bytes: ({ received }) => received,
  messages: ({ answers }) => answers.messages,
}

function metadata({ head }: Exchange, key: string | undefined): string | undefined {
  if (key === undefined) return undefined
  for (const field of head.forward) if (field.name === key) return valueText(field)
  return undefined
}
