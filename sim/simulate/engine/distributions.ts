/** Draws of the shapes that traffic has, each from even draws in [0, 1). */

/** Spans between the moments of a process without memory. */
export const exponential = (mean: number, draw: () => number): number => -mean * Math.log(1 - draw())

/** Long-tailed: half lie below the median; `sigma` 1 puts one in a hundred above ten times it. */
export const lognormal = (median: number, sigma: number, draw: () => number): number => median * Math.exp(sigma * normal(draw))

/** Box and Muller's, one of the two. */
function normal(draw: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw())
}

/** An index below `count`, the first the most frequent, each as often as 1 / (its place). */
export function zipf(count: number, draw: () => number): number {
  const harmonic = Math.log(count) + 0.5772
  return Math.min(count - 1, Math.floor(Math.exp(draw() * harmonic)) - 1)
}

/** An index by weight. */
export function weighted(weights: readonly number[], draw: () => number): number {
  let point = draw() * weights.reduce((sum, weight) => sum + weight, 0)
  for (const [at, weight] of weights.entries()) {
    point -= weight
    if (point < 0) return at
  }
  return weights.length - 1
}
