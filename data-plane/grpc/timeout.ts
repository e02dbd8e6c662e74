/** The `grpc-timeout` header: up to eight digits and a unit. */
import { type Millis, millis } from '../../core/units.ts'
import { type HeaderField, makeField, requestMemory } from '../http2/header-field.ts'
import { nameOfText } from '../http2/header-name.ts'

const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 }
const VALUE_MAX = 99_999_999

/** The span that a value names; undefined when it is not legal. */
export function parseTimeout(text: string): Millis | undefined {
  const unit = UNIT_MS[text.charAt(text.length - 1)]
  const digits = text.length - 1
  if (unit === undefined || digits < 1 || digits > 8) return undefined
  let value = 0
  for (let i = 0; i < digits; i++) {
    const digit = text.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return undefined
    value = value * 10 + digit
  }
  return millis(value * unit)
}

/** Room for the digits and the unit, written from its end; good until the next field is made. */
const text = new Uint8Array(9)
const NAME = nameOfText('grpc-timeout')

/** In the finest unit that holds the span, rounded up, never less than one. Written for every attempt, so digit by digit. */
export function timeoutField(left: Millis): HeaderField {
  let value = Math.max(1, Math.ceil(left * MICROS_PER_MS))
  let unit = MICROS
  for (let at = 0; value > VALUE_MAX && at < COARSER.length; at++) {
    const coarser = COARSER[at] as (typeof COARSER)[number]
    value = Math.min(Math.ceil(left / coarser.ms), coarser.most)
    unit = coarser.unit
  }
  let at = text.length - 1
  text[at] = unit
  for (; value > 0; value = Math.floor(value / 10)) text[--at] = DIGIT_ZERO + (value % 10)
  return makeField(NAME, text, at, text.length, false, requestMemory)
}

const DIGIT_ZERO = 48
const MICROS_PER_MS = 1_000
const MICROS = 'u'.charCodeAt(0)
/** An hour is the last resort: what it cannot hold is cut. */
const COARSER = [
  { unit: 'm'.charCodeAt(0), ms: 1, most: Number.POSITIVE_INFINITY },
  { unit: 'S'.charCodeAt(0), ms: 1_000, most: Number.POSITIVE_INFINITY },
  { unit: 'M'.charCodeAt(0), ms: 60_000, most: Number.POSITIVE_INFINITY },
  { unit: 'H'.charCodeAt(0), ms: 3_600_000, most: VALUE_MAX },
] as const
