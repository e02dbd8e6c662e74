/** Reports on their way from agents to the control plane: each takes its time, and some are lost. What is late may be overtaken. */
import type { NodeReport } from '../../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { Telemetry } from '../scenario/scenario.ts'

export class Bus {
  readonly #rules: Telemetry
  readonly #draw: () => number
  readonly #underWay = new Map<number, NodeReport>()
  #sent = 0

  constructor(rules: Telemetry, draw: () => number) {
    this.#rules = rules
    this.#draw = draw
  }

  /** Undefined when it is lost. */
  send(report: NodeReport): { readonly id: number; readonly takesMs: number } | undefined {
    const { delayMs, jitterMs, lostShare } = this.#rules
    if (this.#draw() < lostShare) return undefined
    const id = this.#sent++
    this.#underWay.set(id, report)
    return { id, takesMs: delayMs + jitterMs * this.#draw() }
  }

  /** Each once. */
  take(id: number): NodeReport | undefined {
    const report = this.#underWay.get(id)
    this.#underWay.delete(id)
    return report
  }
}
