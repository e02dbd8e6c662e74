/** The `grpc-timeout` header: up to eight digits and a unit. */
import { type Millis, millis } from '../../core/units.ts'

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

/** The finest unit that holds the span, rounded up, never less than one. */
export function formatTimeout(left: Millis): string {
  for (const [unit, ms] of FINEST_FIRST) {
    const value = Math.max(1, Math.ceil(left / ms))
    if (value <= VALUE_MAX) return `${value}${unit}`
  }
  return `${VALUE_MAX}H`
}

const FINEST_FIRST: readonly (readonly [unit: string, ms: number])[] = [
  ['u', 0.001],
  ['m', 1],
  ['S', 1_000],
  ['M', 60_000],
  ['H', 3_600_000],
]
