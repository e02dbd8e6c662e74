/**
 * Whose turn it is of two sides, each as often as it weighs, spread evenly. `turns[at]` holds how far it has come, in weight, or `NOT_BEGUN`. Where both
 * weights stay, any `first + second` turns in a row (or a fraction of it that is whole for both) hold exactly their shares.
 */
export const NOT_BEGUN = -1

/** Where one begins: apart from each other, so that the light sides of neighbours do not all come together. */
const GOLDEN = (Math.sqrt(5) - 1) / 2

export function isSecondsTurn(turns: Float64Array, at: number, first: number, second: number): boolean {
  const whole = first + second
  let come = turns[at] as number
  if (come < 0) come = ((at * GOLDEN) % 1) * whole
  // What it had come to when the weights were larger is more than a turn now.
  const next = (come < whole ? come : 0) + second
  const seconds = next >= whole
  turns[at] = seconds ? next - whole : next
  return seconds
}
