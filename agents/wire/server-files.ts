/**
 * Reads what files tell of the host's servers, and again when they change. A file with a mistake keeps what it said last and says its line and field once; so
 * does the one file that was named and went away. A file that left a folder takes its servers with it.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Logger } from '../../core/edge/log.ts'
import { inWords, readPlaced } from '../../core/edge/placed-file.ts'
import { UsageError } from '../../core/edge/usage-error.ts'
import { limits } from '../../core/limits.ts'
import type { ServerRow } from '../discovery/server-spec.ts'
import { knownInServerFile, serverFile } from './server-schema.ts'

export type ServerFiles = {
  /** In order of the files' names. */
  told(): readonly { readonly from: string; readonly rows: readonly ServerRow[] }[]
  /** What is wrong now, a line for each file. */
  problems(): readonly string[]
  close(): void
}

type Known = { readonly stamp: string; readonly rows: readonly ServerRow[]; readonly problem: string | undefined }

const NAMES = /\.(ya?ml|json)$/

/** Throws a UsageError with path, line and field. */
export function readServerFile(path: string): readonly ServerRow[] {
  return inWords(path, () => {
    if (statSync(path).size > limits.serverFileMax) throw new UsageError(`${path}: larger than ${limits.serverFileMax} bytes`)
    const file = readPlaced(readFileSync(path, 'utf8'), path)
    const read = serverFile.safeParse(file.value ?? {})
    if (!read.success) {
      const [issue] = read.error.issues
      throw new UsageError(issue === undefined ? `${path}: tells of no servers` : file.complaint(issue, knownInServerFile))
    }
    const contained = read.data.containers.filter((one): one is ServerRow => one !== 'ignored')
    return [...read.data.servers, ...contained]
  })
}

export function followServerFiles(path: string, log: Logger, onChange: () => void): ServerFiles {
  let known: ReadonlyMap<string, Known> = new Map()

  const look = (): void => {
    const next = new Map<string, Known>()
    for (const one of filesOf(path)) {
      const before = known.get(one)
      const stamp = stampOf(one)
      next.set(one, before?.stamp === stamp ? before : read(one, stamp, before, log))
    }
    const changed = next.size !== known.size || [...next].some(([name, file]) => known.get(name) !== file)
    known = next
    if (changed) onChange()
  }
  look()
  const timer = setInterval(look, limits.serverFilesPoll)
  return {
    told: () => [...known].map(([from, { rows }]) => ({ from, rows })),
    problems: () => [...known.values()].flatMap(({ problem }) => problem ?? []),
    close: () => clearInterval(timer),
  }
}

function read(path: string, stamp: string, before: Known | undefined, log: Logger): Known {
  try {
    const rows = readServerFile(path)
    log.info({ path, servers: rows.length }, 'servers.read')
    return { stamp, rows, problem: undefined }
  } catch (error) {
    const problem = (error as Error).message
    log.warn({ problem, kept: before?.rows.length ?? 0 }, 'servers.file')
    return { stamp, rows: before?.rows ?? [], problem }
  }
}

/** The path itself, or what lies in the folder of that name. */
function filesOf(path: string): readonly string[] {
  try {
    if (!statSync(path).isDirectory()) return [path]
    const names = readdirSync(path).filter((name) => NAMES.test(name) && !name.startsWith('.'))
    return names
      .sort()
      .slice(0, limits.serverFilesMax)
      .map((name) => join(path, name))
  } catch {
    return [path]
  }
}

/** Another one for every change, also when a link leads elsewhere now. */
function stampOf(path: string): string {
  try {
    const { mtimeMs, size, ino } = statSync(path)
    return `${mtimeMs} ${size} ${ino}`
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code)
  }
}
