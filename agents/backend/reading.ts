/**
 * What one look at a server says of its load, figure by figure, each with its source. Several models on a page: what waits and what runs adds up, since
 * they share the server; of ratios the highest counts, since the fullest cache is the one that makes requests wait.
 * Invariants: a family that is missing, or holds a number that cannot be, leaves its figure out; no figure is negative, infinite or not a number.
 */
import type { LoadVector } from '../../core/load-vector.ts'
import type { Page, Sample } from './prometheus-text.ts'

export type Figure =
  | { readonly kind: 'level'; readonly value: number; readonly source: string }
  /** Counters by their labels: the figure is how fast they grow, in `unit`s per second. */
  | { readonly kind: 'growth'; readonly counters: ReadonlyMap<string, number>; readonly unit: number; readonly source: string }

export type FigureName = keyof LoadVector | 'capacity'
export type Reading = { readonly [Name in FigureName]?: Figure }

type Labels = Readonly<Record<string, string>>

/** Rounding may carry a ratio of a full cache a little above 1; what is further above has another scale, which nobody knows. */
const RATIO_SLACK = 0.01

/** The sum of all samples of these families, of those whose labels are as said. */
export function sum(page: Page, names: readonly string[], labels: Labels = {}): Figure | undefined {
  const found = present(page, names, labels)
  return found && { kind: 'level', value: found.samples.reduce((total, { value }) => total + value, 0), source: found.source }
}

export function highestRatio(page: Page, name: string, labels: Labels = {}): Figure | undefined {
  const found = present(page, [name], labels)
  const highest = found && Math.max(...found.samples.map(({ value }) => value))
  if (found === undefined || highest === undefined || highest > 1 + RATIO_SLACK) return undefined
  return { kind: 'level', value: Math.min(highest, 1), source: found.source }
}

/** How fast the counters of these families grow together. */
export function growth(page: Page, names: readonly string[], unit = 1): Figure | undefined {
  const found = present(page, names)
  if (found === undefined) return undefined
  // As new text, for the same reason.
  const counters = new Map(found.samples.map(({ name, labels, value }) => [JSON.stringify([name, Object.entries(labels).sort()]), value]))
  return { kind: 'growth', counters, unit, source: found.source }
}

/** Two levels as one; where one is not known the other stands for both. */
export function together(one: Figure | undefined, other: Figure | undefined): Figure | undefined {
  if (one?.kind !== 'level' || other?.kind !== 'level') return one ?? other
  return { kind: 'level', value: one.value + other.value, source: `${one.source} + ${other.source}` }
}

/** A number that something else than the metrics page told. */
export const level = (value: number | undefined, source: string): Figure | undefined =>
  value === undefined || !isCount(value) ? undefined : { kind: 'level', value, source }

function present(page: Page, names: readonly string[], wanted: Labels = {}) {
  const sources: string[] = []
  const samples: Sample[] = []
  for (const name of names) {
    const matching = (page.samples.get(name) ?? []).filter((sample) => matches(sample, wanted))
    samples.push(...matching)
    // Our own text of the name: the page's would hold all of the page.
    for (const end of ['', '_total']) if (matching.some((sample) => sample.name === name + end)) sources.push(name + end + shown(wanted))
  }
  return samples.length > 0 && samples.every(({ value }) => isCount(value)) ? { samples, source: sources.join(' + ') } : undefined
}

const shown = (labels: Labels): string =>
  Object.keys(labels).length === 0
    ? ''
    : `{${Object.entries(labels)
        .map(([label, value]) => `${label}=${value}`)
        .join(',')}}`

const matches = ({ labels }: Sample, wanted: Labels): boolean => Object.entries(wanted).every(([label, value]) => labels[label] === value)

const isCount = (value: number): boolean => Number.isFinite(value) && value >= 0

/** Only the figures that there are. */
export function reading(figures: { readonly [Name in FigureName]?: Figure | undefined }): Reading {
  return Object.fromEntries(Object.entries(figures).filter(([, figure]) => figure !== undefined))
}
