/** One part of the mesh as a real process, started the way a person starts it. It ends with the test process at the latest. */
import { type Part, startPart } from '../../cli/child.ts'

export type { Part } from '../../cli/child.ts'

/** Ten parts that start at once on two busy cores take longer than one that a person starts. */
const READY_DEADLINE_MS = 60_000

/** Resolves once the part has printed its ready line; `fields` are that line's, as in `part.fields.listen`. */
export const spawnPart = (
  verb: string,
  argv: readonly string[],
  options: { readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Part> => startPart(verb, verb, argv, options.env, READY_DEADLINE_MS)
