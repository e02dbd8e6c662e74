/** Saves the picture some time after it changed, not at every change; one save at a time, and the last change is always saved. */
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import { type SavedPicture, saveState } from './state-file.ts'

export class StateSaver {
  readonly #dir: string
  readonly #current: () => Omit<SavedPicture, 'savedAt'>
  readonly #log: Logger
  #timer: NodeJS.Timeout | undefined
  #saving: Promise<void> | undefined
  #dirty = false
  #lastAt = Number.NEGATIVE_INFINITY
  saves = 0
  failures = 0

  constructor(dir: string, current: () => Omit<SavedPicture, 'savedAt'>, log: Logger) {
    this.#dir = dir
    this.#current = current
    this.#log = log
  }

  changed(): void {
    this.#dirty = true
    if (this.#timer !== undefined || this.#saving !== undefined) return
    const sinceLast = performance.now() - this.#lastAt
    this.#timer = setTimeout(() => void this.#save(), Math.max(limits.stateSaveDelay, limits.stateSavePeriod - sinceLast))
  }

  /** What changed and is not saved yet is saved now. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#saving
    clearTimeout(this.#timer)
    if (this.#dirty) await this.#save()
    clearTimeout(this.#timer)
  }

  #save(): Promise<void> {
    this.#timer = undefined
    this.#dirty = false
    this.#saving = saveState(this.#dir, { savedAt: Date.now(), ...this.#current() })
      .then(() => {
        this.saves++
      })
      .catch((error: Error) => {
        this.failures++
        this.#log.warn({ detail: error.message }, 'state.not-saved')
      })
      .finally(() => {
        this.#saving = undefined
        this.#lastAt = performance.now()
        if (this.#dirty) this.changed()
      })
    return this.#saving
  }
}
