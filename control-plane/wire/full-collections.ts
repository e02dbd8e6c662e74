/**
 * Settings of V8 that make full collections rare in a control plane: while it marks all that it holds, nobody hears of a failure. The price is garbage that
 * lies longer: 240 MB of the 690 that ten thousand nodes take.
 */
import { setFlagsFromString } from 'node:v8'

const FLAGS = [
  // V8 learns that objects of a kind live long and then makes all of that kind in the old space, where only a full collection finds those that the next report
  // replaces half a second later. Kept young they are gone before they are old.
  '--no-allocation-site-pretenuring',
  // Otherwise a full collection begins whenever memory outside of the heap has grown by 64 MB, be that messages that are gone in a moment.
  '--external-memory-accounted-in-global-limit',
  // All of it may be four times what lives. V8 gives as much only to a heap that grows fast: whoever makes less garbage is collected as often.
  '--heap-growing-percent=300',
]

/** To be called first: what V8 has learned stays. */
export function seldomCollectFully(): void {
  for (const flag of FLAGS) setFlagsFromString(flag)
}
