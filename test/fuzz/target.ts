/**
 * What is fuzzed, and how a case of it is written down. A case is a seed and a list of steps; a step is the name of a move and a seed of its own,
 * read against the state that the case has come to. So any steps may be left out and the rest still means something: that is how a case is shrunk.
 */
import { Draw } from './draw.ts'

export type Step = readonly [move: string, salt: number]
export type Case = { readonly target: string; readonly seed: number; readonly steps: readonly Step[] }

/** What was done, over all cases. */
export type Counts = { frames: number; bytes: number; streams: number; violations: number }
export const newCounts = (): Counts => ({ frames: 0, bytes: 0, streams: 0, violations: 0 })

/** One case in progress. A move throws when something does not hold. */
export type Play = {
  readonly moves: Readonly<Record<string, (draw: Draw) => void | Promise<void>>>
  /** Brings everything to its end and looks whether all of it came out. */
  end(draw: Draw): void | Promise<void>
  /** After a failure: lets go of what would outlive the case. */
  abandon?(): void
}

export type Target = {
  readonly name: string
  readonly about: string
  /** How often each move is drawn, relative to the others. */
  readonly weights: Readonly<Record<string, number>>
  /** The most steps of a case. */
  readonly stepsMax: number
  start(draw: Draw, counts: Counts): Play
}

/** Something that must hold did not. */
export class Breach extends Error {}

export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Breach(what)
}

export function draft(target: Target, seed: number): Case {
  const draw = new Draw(seed)
  const weights = Object.entries(target.weights)
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0)
  const drawMove = (): string => {
    let ball = draw.part(total)
    for (const [name, weight] of weights) {
      ball -= weight
      if (ball < 0) return name
    }
    return weights[0]?.[0] ?? ''
  }
  const steps = Array.from({ length: draw.between(1, target.stepsMax) }, (): Step => [drawMove(), draw.bits()])
  return { target: target.name, seed, steps }
}

/** Plays a case; answers what went wrong. */
export async function play(target: Target, { seed, steps }: Case, counts: Counts): Promise<Error | undefined> {
  const draw = new Draw(seed)
  let running: Play | undefined
  try {
    running = target.start(draw, counts)
    for (const [move, salt] of steps) {
      draw.reseed(salt)
      const pending = running.moves[move]?.(draw)
      if (pending !== undefined) await pending
    }
    draw.reseed(seed)
    await running.end(draw)
    return undefined
  } catch (error) {
    running?.abandon?.()
    return error instanceof Error ? error : new Error(String(error))
  }
}
