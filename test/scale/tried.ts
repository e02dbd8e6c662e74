/** What was tried to make the control plane cheaper, each measured before and after on one machine: what, before, after, and of what. */

export const TRIED: readonly (readonly [what: string, before: string, after: string, measure: string])[] = []
