/**
 * The last good picture on disk, so that a proxy that starts while its control plane is away can serve. One line of facts, a line for each endpoint,
 * and a line with the hash of all before it. Invariants: the file at its name is always whole, since it comes there by a rename; what is not whole is
 * never used.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { UsageError } from '../../core/edge/settings.ts'
import { isEndpointId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { ENDPOINT_STATES, type Endpoint, PROTOCOLS } from '../../core/mesh-snapshot.ts'
import { nextTurn } from './next-turn.ts'

const FORMAT = 'millrace-picture-1'
const NAME = 'picture.jsonl'

/** An endpoint and the version under which the control plane told of it. */
export type HeldEndpoint = { readonly version: string; readonly endpoint: Endpoint }

export type SavedPicture = {
  /** Unix time in milliseconds: it is read by another process than wrote it. */
  readonly savedAt: number
  readonly version: string
  readonly held: readonly HeldEndpoint[]
}

const headSchema = z.object({ format: z.literal(FORMAT), savedAt: z.number(), version: z.string(), endpoints: z.int().nonnegative() })
/** Fields beyond these are kept as they are: the hash says that we wrote them. */
const heldSchema = z.object({
  version: z.string(),
  endpoint: z.looseObject({
    id: z.string().refine(isEndpointId),
    node: z.string(),
    zone: z.string(),
    address: z.string().min(1),
    protocol: z.enum(PROTOCOLS),
    models: z.array(z.string()),
    weight: z.number().nonnegative(),
    state: z.enum(ENDPOINT_STATES),
    freshness: z.enum(['fresh', 'stale', 'last-resort']),
    capacity: z.number(),
  }),
})
const tailSchema = z.object({ sha256: z.string() })

/** Makes the folder; throws a UsageError where that cannot be. */
export function prepareStateDir(dir: string): void {
  try {
    mkdirSync(dir, { recursive: true })
  } catch (error) {
    throw new UsageError(`--state-dir ${dir}: ${(error as Error).message}; give a folder that this process may write to`)
  }
}

export type LoadedState =
  | { readonly kind: 'picture'; readonly picture: SavedPicture }
  | { readonly kind: 'none' }
  /** It was given another name, `aside`. */
  | { readonly kind: 'damaged'; readonly detail: string; readonly aside: string }

export function loadState(dir: string): LoadedState {
  const path = join(dir, NAME)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { kind: 'none' }
    throw new UsageError(`--state-dir ${dir}: ${(error as Error).message}`)
  }
  const read = parseState(text)
  if (typeof read !== 'string') return { kind: 'picture', picture: read }
  const aside = `${path}.damaged`
  renameSync(path, aside)
  return { kind: 'damaged', detail: read, aside }
}

/** Answers what is wrong with a file that is not whole. */
export function parseState(text: string): SavedPicture | string {
  const end = text.lastIndexOf('\n', text.length - 2) + 1
  const tail = tailSchema.safeParse(parseLine(text.slice(end)))
  if (!tail.success) return 'its end is missing'
  if (tail.data.sha256 !== createHash('sha256').update(text.slice(0, end)).digest('hex')) return 'its content does not fit its hash'
  const [first = '', ...lines] = text.slice(0, end).trimEnd().split('\n')
  const head = headSchema.safeParse(parseLine(first))
  if (!head.success) return 'it is not of a kind that this version reads'
  const held: HeldEndpoint[] = []
  for (const line of lines) {
    const read = heldSchema.safeParse(parseLine(line))
    if (!read.success) return `an endpoint in it is wrong: ${read.error.issues[0]?.message}`
    held.push(read.data)
  }
  if (held.length !== head.data.endpoints) return `it names ${held.length} endpoints and should name ${head.data.endpoints}`
  return { savedAt: head.data.savedAt, version: head.data.version, held }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}

/** Some rows in each turn; the old file stays until the new one is safe on the disk. */
export async function saveState(dir: string, picture: SavedPicture): Promise<void> {
  const path = join(dir, NAME)
  const fresh = `${path}.new`
  const hash = createHash('sha256')
  const file = await open(fresh, 'w')
  try {
    const put = async (text: string): Promise<void> => {
      hash.update(text)
      await file.write(text)
      await nextTurn()
    }
    const { held, ...facts } = picture
    await put(`${JSON.stringify({ format: FORMAT, ...facts, endpoints: held.length })}\n`)
    for (let at = 0; at < held.length; at += limits.feedRowsMax)
      await put(
        held
          .slice(at, at + limits.feedRowsMax)
          .map((one) => `${JSON.stringify(one)}\n`)
          .join(''),
      )
    await file.write(`${JSON.stringify({ sha256: hash.digest('hex') })}\n`)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(fresh, path)
  const folder = await open(dir, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
