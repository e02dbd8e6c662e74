/** W3C Trace Context, level 2, §3.2: what a `traceparent` names. It goes on to the server as it came; here it is only read. */
import { type HeaderField, valueText } from '../http2/header-field.ts'

/** Where the last digit of the flags stands. */
const FLAGS_AT = 54
const isOdd = (digit: number): boolean => ODD_DIGITS.has(digit)
const ODD_DIGITS: ReadonlySet<number> = new Set([...'13579bdf'].map((digit) => digit.charCodeAt(0)))

/** Its caller records the trace. Cheap enough for every request. */
export const isTraced = (field: HeaderField | undefined): boolean =>
  field !== undefined && field.valueEnd - field.valueAt > FLAGS_AT && isOdd(field.memory[field.valueAt + FLAGS_AT] as number)

/** 32 hexadecimal digits; empty when there is none, or none that is legal. */
export function traceIdOf(field: HeaderField | undefined): string {
  const id = field === undefined ? undefined : /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}/.exec(valueText(field))?.[1]
  return id === undefined || /^0+$/.test(id) ? '' : id
}
