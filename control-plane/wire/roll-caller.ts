/**
 * Asks every agent for a full report whenever this control plane may have missed some: when it starts, and when its link returns. In between it tells
 * agents how many they are, so that they know over how long to take turns: only once it has heard the whole fleet, for a guess too low would crowd them.
 */
import type { NatsLink } from '../../core/edge/nats-link.ts'
import { limits } from '../../core/limits.ts'
import { rollCall } from '../../core/subjects.ts'
import { RollCall } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export type RollCallOptions = {
  readonly link: Pick<NatsLink, 'publish' | 'onState'>
  readonly mesh: string
  /** Undefined until the whole fleet was heard. */
  readonly nodes: () => number | undefined
}

/** Returns its stop. */
export function callRolls({ link, mesh, nodes }: RollCallOptions): () => void {
  const call = (sizeOnly: boolean): void => {
    const known = nodes()
    if (sizeOnly && known === undefined) return
    link.publish(rollCall(mesh), RollCall.encode({ nodes: known, sizeOnly }).finish())
  }
  link.onState((state) => {
    if (state === 'up') call(false)
  })
  call(false)
  const timer = setInterval(() => call(true), limits.fleetSizePeriod)
  return () => clearInterval(timer)
}
