/**
 * Where one request goes, when rows say something of the model that it asks for: drawn once, kept over its attempts, and changed only for a fall-back.
 * Invariant: no target is asked twice.
 */
import { resolveModel, type Target, type TargetRules } from './resolve-model.ts'

export type Asked = {
  readonly model: string
  readonly version: string
  /** Asked for by an inference, by a question about the model, or by a path whose bytes are not ours to change. */
  readonly by: 'inference' | 'question' | 'path'
  /** Another model would not know the sequence: there is no fall-back. */
  readonly inSequence: boolean
}

export class Aim {
  readonly asked: Asked
  target: Target
  /** Where a copy of the request is to go as well; undefined once it went, or where there is to be none. */
  shadow: Aim | undefined
  readonly #rules: TargetRules
  readonly #point: number
  #left: Target[] | undefined

  constructor(asked: Asked, target: Target, rules: TargetRules, point: number) {
    this.asked = asked
    this.target = target
    this.#rules = rules
    this.#point = point
  }

  /** `point` in [0, 1) decides in splits, a draw of its own whether there is a shadow. */
  static take(rules: TargetRules, asked: Asked, point: number, draw: () => number): Aim {
    const aim = new Aim(asked, resolveModel(rules, asked.model, asked.version, point), rules, point)
    // Of a sequence a shadow would need every request, and a question about a model is no work for another.
    const shadow = asked.by === 'inference' && !asked.inSequence ? rules.get(asked.model)?.shadow : undefined
    if (shadow !== undefined && draw() < shadow.share) {
      aim.shadow = new Aim(asked, resolveModel(rules, shadow.model, shadow.version ?? '', point), NO_RULES, point)
    }
    return aim
  }

  /** The server does not know the model by what the request says. */
  get renames(): boolean {
    return this.asked.by !== 'path' && (this.target.model !== this.asked.model || this.target.version !== this.asked.version)
  }

  /** Moves on to the first fall-back that serves, where the target does not; where nobody does, it stays. Answers whether it moved. */
  preferServing(serves: (target: Target) => boolean): boolean {
    if (!this.hasFallback || serves(this.target)) return false
    const left = this.#fallbacks()
    const at = left.findIndex(serves)
    if (at < 0) return false
    left.splice(0, at)
    return this.fallBack()
  }

  get hasFallback(): boolean {
    return this.#left === undefined ? this.#namesOfFallbacks().length > 0 : this.#left.length > 0
  }

  /** From here on the next fall-back is meant; false when there is none. */
  fallBack(): boolean {
    const next = this.#fallbacks().shift()
    if (next === undefined) return false
    this.target = next
    return true
  }

  #fallbacks(): Target[] {
    if (this.#left !== undefined) return this.#left
    this.#left = []
    for (const name of this.#namesOfFallbacks()) {
      const target = resolveModel(this.#rules, name, '', this.#point)
      if (![this.target, ...this.#left].some((one) => one.model === target.model && one.version === target.version))
        this.#left.push({ ...target, why: 'fallback' })
    }
    return this.#left
  }

  /** Of whom the split chose, then of the model that was asked for. */
  #namesOfFallbacks(): readonly string[] {
    if (this.asked.inSequence) return NONE
    const own = this.#rules.get(this.target.model)?.fallbacks ?? NONE
    const first = this.#rules.get(this.asked.model)
    return first === undefined || first.name === this.target.model ? own : [...own, ...(first.fallbacks ?? NONE)]
  }
}

const NONE: readonly string[] = []
const NO_RULES: TargetRules = new Map()
