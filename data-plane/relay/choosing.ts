/** Which endpoint of a model a request goes to: the one that holds its sequence or its session, or else whichever the model's policy says. */
import type { Millis } from '../../core/units.ts'
import type { Ask } from '../routing/ask.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import type { Candidates } from '../routing/model-groups.ts'
import { pick } from '../routing/pick.ts'
import { SequenceOwners } from '../routing/sequence-owners.ts'
import { SessionOwners } from '../routing/session-owners.ts'
import type { Exchange } from './exchange.ts'
import { adapterOf, keyOf } from './request-key.ts'

/** What the choice for its next attempt may depend on. */
export function askOf(
  exchange: Exchange,
  candidates: Candidates,
  now: Millis,
  draw: () => number,
  compared: EndpointSlot[] | undefined,
): Ask {
  const key = keyOf(exchange, candidates.hashOn)
  const adapter = adapterOf(exchange, candidates.adapter)
  return { now, draw, excluded: exchange.excluded, compared, key, adapter, prompt: exchange.scanner?.prompt }
}

/** One endpoint alone may be asked. */
export const isPinned = ({ scanner }: Exchange, { pin }: Candidates, { key }: Ask): boolean =>
  scanner?.sequence !== undefined || (pin && key !== undefined)

export class Choosing {
  readonly #sequences = new SequenceOwners()
  readonly #sessions = new SessionOwners()

  /** Undefined: nobody who may be asked is left. */
  choose({ excluded, scanner, lost }: Exchange, model: string, candidates: Candidates, ask: Ask): EndpointSlot | undefined {
    const sequence = scanner?.sequence
    if (sequence !== undefined) return this.#sequences.ownerOf(model, sequence, candidates, excluded)
    if (candidates.pin && ask.key !== undefined) return this.#sessions.ownerOf(model, ask.key, candidates.tiers, excluded, lost)
    return pick(candidates, ask)
  }
}
