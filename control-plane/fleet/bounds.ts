/** What a peer says is cut to what may be kept of it, and what cannot be true is absent. */
import { limits } from '../../core/limits.ts'

export const short = (text: string): string => (text.length > limits.reportTextMax ? text.slice(0, limits.reportTextMax) : text)

export const within = (value: number | undefined, least: number, most: number): number | undefined =>
  value !== undefined && value >= least && value <= most ? value : undefined
