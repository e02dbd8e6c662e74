/**
 * Recorded requests as traffic: their sizes and the gaps between them, as `millrace admin explain --json` tells of decisions, over and over. What is recorded is
 * a sample of what was asked, so the gaps are stretched or shrunk until the rate is the one wanted. What a record does not tell is drawn as the
 * scenario says: how long the answer of a unary call was.
 */
import { z } from 'zod'
import { UsageError } from '../../../core/edge/usage-error.ts'
import { type Millis, millis } from '../../../core/units.ts'
import { type Arrival, LETTERS_PER_TOKEN, type Traffic } from './arrival.ts'
import { drawLength, type Lengths } from './workload.ts'

/** `outputTokens` is absent where one message was the whole answer. */
export type Recorded = { readonly at: number; readonly promptTokens: number; readonly outputTokens?: number; readonly firstByteMs?: number }

const count = z.coerce.number().min(0)
const decision = z.object({
  at_unix_ms: count,
  attempt: z.number(),
  end: z.object({ first_byte_ms: count.optional(), messages: count, request_bytes: count }).nullish(),
})
const line = z.union([z.object({ decision }), z.object({ now: z.unknown() }), z.object({ silent: z.literal(true) })])

/** In order of time. Lines that tell of no decision are passed over, and so are attempts after the first: the simulation makes its own. */
export function parseRecords(text: string, path: string): readonly Recorded[] {
  const records = text.split('\n').flatMap((one, at) => {
    if (one.trim() === '') return []
    const read = line.safeParse(parseJson(one, `${path}:${at + 1}`))
    if (!read.success)
      throw new UsageError(`${path}:${at + 1}: ${read.error.issues[0]?.path.join('.') ?? ''}: not a line of millrace admin explain --json`)
    return 'decision' in read.data ? recordOf(read.data.decision) : []
  })
  if (records.length < 2)
    throw new UsageError(`${path}: wants two decisions or more; millrace admin explain --model M --json tells of them`)
  return records.toSorted((a, b) => a.at - b.at)
}

function parseJson(text: string, place: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new UsageError(`${place}: ${(error as Error).message}`)
  }
}

function recordOf({ at_unix_ms: at, attempt, end }: z.infer<typeof decision>): Recorded[] {
  if (attempt !== 1 || end == null) return []
  const { first_byte_ms: firstByteMs, messages, request_bytes: bytes } = end
  return [
    {
      at,
      promptTokens: Math.max(1, Math.round(bytes / LETTERS_PER_TOKEN)),
      ...(messages > 1 && { outputTokens: messages }),
      ...(firstByteMs !== undefined && { firstByteMs }),
    },
  ]
}

/** At least two records. */
export function replay(records: readonly Recorded[], output: Lengths, ratePerSecond: number, from: Millis, draw: () => number): Traffic {
  const first = records[0] as Recorded
  const last = records.at(-1) as Recorded
  // The gap from the last to the first of the next time round is a usual one.
  const span = Math.max(1, last.at - first.at) * (records.length / (records.length - 1))
  const stretch = (records.length * 1000) / ratePerSecond / span
  let played = 0
  return {
    next(): Arrival {
      const round = Math.floor(played / records.length)
      const { at, promptTokens, outputTokens } = records[played % records.length] as Recorded
      const session = played++
      return {
        at: millis(from + (round * span + at - first.at) * stretch),
        tenant: 0,
        prompt: { tokens: promptTokens, system: 0, systemTokens: 0, session, historyTokens: 0 },
        outputTokens: outputTokens ?? drawLength(output, draw),
      }
    },
  }
}
