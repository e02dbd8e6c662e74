/**
 * Decides which GPUs a server uses from what its host tells: nvidia-smi names processes on GPUs, and such a process is the server's when it, or a process
 * that it descends from, holds the socket on which the server listens. Invariant: for as long as that socket lives the GPUs only grow in number, since
 * a GPU that dies takes its process off the list, and a server must not look whole by having lost a GPU.
 */

/** What nvidia-smi says of processes, or why it does not. */
export type GpuProcesses =
  | { readonly kind: 'apps'; readonly apps: readonly { readonly gpuUuid: string; readonly pid: number }[] }
  | { readonly kind: 'nothing'; readonly reason: string }

export type ProcessFacts = {
  /** 0 for one that has none. */
  readonly parent: number
  /** Inodes; undefined when this user may not look. */
  readonly sockets: ReadonlySet<string> | undefined
}

export type Evidence = {
  readonly port: number
  readonly told: GpuProcesses
  /** Inodes of the sockets that listen on the port. */
  readonly listening: readonly string[]
  /** Of the processes that nvidia-smi names, and of those that they descend from; absent for one that is not there. */
  readonly processes: ReadonlyMap<number, ProcessFacts>
}

export type Binding =
  | { readonly by: 'process'; readonly sockets: string; readonly gpuUuids: readonly string[] }
  /** Nobody can tell: it may use any GPU of the host. */
  | { readonly by: 'nothing'; readonly cause: Cause; readonly reason: string }

type Cause = 'not-asked' | 'not-told' | 'no-process' | 'not-listening' | 'not-visible' | 'no-rights' | 'others-only'

export const NOT_ASKED: Binding = { by: 'nothing', cause: 'not-asked', reason: 'not asked yet' }

export function stepBinding(before: Binding, evidence: Evidence): Binding {
  const { told, listening } = evidence
  const sockets = [...listening].sort().join()
  const found = told.kind === 'nothing' ? [] : told.apps.filter(({ pid }) => belongs(pid, evidence)).map(({ gpuUuid }) => gpuUuid)
  if (before.by === 'process' && (sockets === before.sockets || sockets === '' || told.kind === 'nothing')) {
    const gpuUuids = [...new Set([...before.gpuUuids, ...found])].sort()
    return gpuUuids.length === before.gpuUuids.length ? before : { ...before, gpuUuids }
  }
  if (found.length > 0) return { by: 'process', sockets, gpuUuids: [...new Set(found)].sort() }
  return { by: 'nothing', ...whyNot(evidence) }
}

/** A process and those that it descends from, as far as they are known. */
function lineOf(pid: number, parent: (pid: number) => number | undefined): readonly number[] {
  const line: number[] = []
  for (let at: number | undefined = pid; at !== undefined && at > 0 && !line.includes(at); at = parent(at)) line.push(at)
  return line
}

function belongs(pid: number, { processes, listening }: Evidence): boolean {
  const line = lineOf(pid, (one) => processes.get(one)?.parent)
  return line.some((one) => listening.some((inode) => processes.get(one)?.sockets?.has(inode)))
}

function whyNot({ port, told, listening, processes }: Evidence): { readonly cause: Cause; readonly reason: string } {
  if (told.kind === 'nothing') return { cause: 'not-told', reason: told.reason }
  if (told.apps.length === 0) return { cause: 'no-process', reason: 'nvidia-smi names no process on any GPU' }
  if (listening.length === 0)
    return {
      cause: 'not-listening',
      reason: `no process that the agent can see listens on port ${port}; in a container, share the network of the host`,
    }
  const unseen = told.apps.find(({ pid }) => !processes.has(pid))
  if (unseen !== undefined)
    return {
      cause: 'not-visible',
      reason: `nvidia-smi names process ${unseen.pid}, which the agent cannot see; in a container, share the pids of the host`,
    }
  const closed = [...processes].find(([, { sockets }]) => sockets === undefined)
  if (closed !== undefined)
    return {
      cause: 'no-rights',
      reason: `the agent may not look into process ${closed[0]}; run it as the same user or grant CAP_SYS_PTRACE`,
    }
  return { cause: 'others-only', reason: `none of the processes that nvidia-smi names belongs to the server on port ${port}` }
}
