/**
 * What the kernel says of a process and all its descendants. CPU time counts user and system, and children that were already waited for,
 * so a worker that ends in between is not lost.
 */
import { readdirSync, readFileSync } from 'node:fs'

/** Of utime and stime in /proc/<pid>/stat; USER_HZ is 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100

export type ProcessStat = { readonly pid: number; readonly parent: number; readonly ticks: number }
export type Usage = { readonly cpuSeconds: number; readonly rssKib: number }

/** A line of /proc/<pid>/stat. The name, in parentheses, may itself hold spaces and parentheses. */
export function parseStat(text: string): ProcessStat | undefined {
  const nameEnd = text.lastIndexOf(')')
  const fields = text
    .slice(nameEnd + 1)
    .trim()
    .split(' ')
    .map(Number)
  const pid = Number.parseInt(text, 10)
  const [, parent, , , , , , , , , , user, system, childUser, childSystem] = fields
  if (nameEnd < 0 || Number.isNaN(pid) || parent === undefined || user === undefined || system === undefined) return undefined
  return { pid, parent, ticks: user + system + (childUser ?? 0) + (childSystem ?? 0) }
}

/** The resident set in /proc/<pid>/status; absent for a process that is gone. */
export function parseRssKib(status: string): number | undefined {
  const found = /^VmRSS:\s+(\d+) kB$/m.exec(status)
  return found === null ? undefined : Number(found[1])
}

export function familyOf(root: number, all: readonly ProcessStat[]): readonly ProcessStat[] {
  const children = Map.groupBy(all, (one) => one.parent)
  const found: ProcessStat[] = all.filter((one) => one.pid === root)
  for (let i = 0; i < found.length; i++) found.push(...(children.get(found[i]?.pid ?? -1) ?? []))
  return found
}

/** Of one process alone; both 0 once it is gone. */
export function cpuSplit(pid: number): { readonly userSeconds: number; readonly kernelSeconds: number } {
  const text = readOrEmpty(`/proc/${pid}/stat`)
  const fields = text
    .slice(text.lastIndexOf(')') + 1)
    .trim()
    .split(' ')
    .map(Number)
  return { userSeconds: (fields[11] ?? 0) / TICKS_PER_SECOND, kernelSeconds: (fields[12] ?? 0) / TICKS_PER_SECOND }
}

export function readUsage(root: number): Usage {
  const all = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => parseStat(readOrEmpty(`/proc/${pid}/stat`)) ?? [])
  const family = familyOf(root, all)
  const sum = (value: (one: ProcessStat) => number): number => family.reduce((total, one) => total + value(one), 0)
  return {
    cpuSeconds: sum((one) => one.ticks) / TICKS_PER_SECOND,
    rssKib: sum((one) => parseRssKib(readOrEmpty(`/proc/${one.pid}/status`)) ?? 0),
  }
}

/** A process may end between its listing and its reading. */
function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
