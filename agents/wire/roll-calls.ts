/** What control planes call to all agents: to tell all, and how many nodes there are, by which agents know how long to take turns. */
import { fleetSpread } from '../../core/spread.ts'
import type { Millis } from '../../core/units.ts'
import { RollCall } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export class RollCalls {
  #nodes: number | undefined

  /** Over how long the fleet takes turns. */
  spread(): Millis {
    return fleetSpread(this.#nodes)
  }

  /** Whether this node is to answer. Bytes that are no call are one all the same: somebody asked. */
  heard(message: Uint8Array): boolean {
    try {
      const { nodes, sizeOnly } = RollCall.decode(message)
      this.#nodes = nodes ?? this.#nodes
      return !sizeOnly
    } catch {
      return true
    }
  }
}
