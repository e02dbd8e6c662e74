/** By chance, as often as the weights say, whatever is in flight: for splits that are to hold, and to compare with. */
import type { Policy } from './policy.ts'

export const weighted: Policy = {
  name: 'WEIGHTED',
  choose: (pool, { draw }) => pool.slotAt(pool.drawIndex(draw())),
  terms: (slot) => ({ weight: slot.endpoint.weight }),
}
