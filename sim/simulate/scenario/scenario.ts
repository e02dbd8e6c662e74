/** What a simulation is asked to play: the fleet, the traffic, how well it is heard, and what goes wrong when. */
import type { Admission } from '../../../core/mesh-snapshot.ts'
import type { BatchRules } from '../servers/batch-server.ts'
import type { SlotRules } from '../servers/slot-server.ts'
import type { WorkloadRules } from '../workload/workload.ts'

export type ServerRules = { readonly kind: 'batch'; readonly rules: BatchRules } | { readonly kind: 'slots'; readonly rules: SlotRules }

export type Fault = {
  readonly atSeconds: number
  readonly lastingSeconds: number
  /** `slow`: by `factor`. `throttle-flap`: the GPU says every two seconds that it is, or is not, slowed down by heat, and works as ever. */
  readonly kind: 'crash' | 'hang' | 'slow' | 'fail-fast' | 'lie-idle' | 'throttle-flap'
  /** By their place in the fleet, from 0. */
  readonly nodes: readonly number[]
  readonly factor: number
}

export type Telemetry = {
  /** From an agent to the control plane. */
  readonly delayMs: number
  readonly jitterMs: number
  readonly lostShare: number
}

export type Scenario = {
  readonly name: string
  readonly about: string
  /** In the order in which faults name them. */
  readonly servers: readonly ServerRules[]
  readonly workload: WorkloadRules
  readonly telemetry: Telemetry
  readonly faults: readonly Fault[]
  /** Who waits in a proxy, as its model's row says it; absent: nobody. */
  readonly admission?: Admission | undefined
  readonly proxies: number
  /** Measured are requests that arrive between the warm-up and the end. */
  readonly warmUpSeconds: number
  readonly seconds: number
  readonly loads: readonly number[]
  /** A first token within it is a good one. */
  readonly ttftGoalMs: number
  /** Clients wait for so long, and say so: it is their deadline. */
  readonly patienceSeconds: number
}
