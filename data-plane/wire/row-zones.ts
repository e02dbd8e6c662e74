/** What a file may say of zones: for proxies of one zone, in which order the others help out. */
import { z } from 'zod'
import { limits } from '../../core/limits.ts'

/** Beside the levels that are named there is the own zone, and there are all others. */
const NAMED_LEVELS_MAX = limits.zoneLevelsMax - 2

const zone = z.string().min(1, 'wants the name of a zone').max(64)
const order = z
  .array(z.array(zone).min(1, 'a level without a zone; leave it out'))
  .max(NAMED_LEVELS_MAX, `more than ${NAMED_LEVELS_MAX} levels; zones that are not named come last together`)

export const zoneOrder = z.record(zone, order).superRefine((orders, context) => {
  if (Object.values(orders).flat(2).length > limits.zonesNamedMax)
    context.addIssue({ code: 'custom', message: `names zones more than ${limits.zonesNamedMax} times` })
  for (const [own, levels] of Object.entries(orders)) {
    const seen = new Set([own])
    for (const [level, zones] of levels.entries())
      for (const [at, name] of zones.entries()) {
        if (seen.has(name)) {
          const message = name === own ? 'its own zone is near already: name others only' : `zone ${name} stands twice`
          context.addIssue({ code: 'custom', path: [own, level, at], message })
        }
        seen.add(name)
      }
  }
})
