/**
 * Looks under /proc at the few processes that matter: those that nvidia-smi names and what they descend from. What this user may not see, and what is gone
 * by the time that it is looked at, is absent.
 */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { limits } from '../../core/limits.ts'
import type { ProcessFacts } from '../gpu/bind.ts'
import { listeningSockets, parentOf, socketOf } from '../gpu/process-tables.ts'

/** Inodes. */
export async function socketsListeningOn(port: number): Promise<readonly string[]> {
  const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map((path) => readFile(path, 'latin1').catch(() => '')))
  return tables.flatMap((table) => listeningSockets(table, port))
}

/** These processes and all that they descend from. */
export async function readProcesses(pids: readonly number[]): Promise<ReadonlyMap<number, ProcessFacts>> {
  const parents = new Map<number, number>()
  for (const pid of pids)
    for (let at = pid; at > 0 && !parents.has(at) && parents.size < limits.processesReadMax; ) {
      const parent = await readParent(at)
      if (parent === undefined) break
      parents.set(at, parent)
      at = parent
    }
  const facts = new Map<number, ProcessFacts>()
  for (const [pid, parent] of parents) facts.set(pid, { parent, sockets: await readSockets(pid) })
  return facts
}

const readParent = async (pid: number): Promise<number | undefined> =>
  parentOf(await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => ''))

async function readSockets(pid: number): Promise<ReadonlySet<string> | undefined> {
  const folder = `/proc/${pid}/fd`
  const names = await readdir(folder).catch(() => undefined)
  if (names === undefined) return undefined
  const sockets = new Set<string>()
  // One after the other: thousands of files of a large server are no reason to keep the agent from its samples.
  for (const name of names.slice(0, limits.filesReadPerProcessMax)) {
    const inode = socketOf(await readlink(`${folder}/${name}`).catch(() => ''))
    if (inode !== undefined) sockets.add(inode)
  }
  return sockets
}
