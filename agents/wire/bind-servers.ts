/**
 * Finds out now and then which GPUs each server uses that nobody said it of. One round of questions at a time, away from the samples, which take the
 * newest answer; nothing is asked while no server is to be found out about.
 */
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { ServerSpec } from '../discovery/server-spec.ts'
import { type Binding, type GpuProcesses, NOT_ASKED, type ProcessFacts, stepBinding } from '../gpu/bind.ts'

export type ServerBinder = {
  /** The GPUs of a server; undefined while nobody can tell, which is asked about from now on. */
  gpusOf(server: Pick<ServerSpec, 'name' | 'grpc' | 'http'>): readonly string[] | undefined
  /** A server came or went. */
  askSoon(): void
  close(): Promise<void>
}

export type ServerBinderPorts = {
  readonly apps: () => Promise<GpuProcesses>
  readonly listening: (port: number) => Promise<readonly string[]>
  readonly processes: (pids: readonly number[]) => Promise<ReadonlyMap<number, ProcessFacts>>
  readonly log: Logger
  /** The GPUs of a server are other ones. */
  readonly onChange: () => void
}

type Asked = { port: number; binding: Binding; wanted: boolean }

export function bindServers({ apps, listening, processes, log, onChange }: ServerBinderPorts): ServerBinder {
  const servers = new Map<string, Asked>()
  let timer: NodeJS.Timeout | undefined
  let under: Promise<void> | undefined
  let closed = false

  const round = async (): Promise<void> => {
    // Who was not asked about since the last round is watched no more.
    for (const [name, one] of servers) if (!one.wanted) servers.delete(name)
    for (const one of servers.values()) one.wanted = false
    if (servers.size === 0) return
    const told = await apps()
    const facts = told.kind === 'apps' ? await processes(told.apps.map(({ pid }) => pid)) : new Map<number, ProcessFacts>()
    for (const [name, one] of servers) {
      const evidence = { port: one.port, told, listening: await listening(one.port), processes: facts }
      const before = one.binding
      one.binding = stepBinding(before, evidence)
      if (tell(name, before, one.binding) && !closed) onChange()
    }
  }

  const tell = (server: string, before: Binding, now: Binding): boolean => {
    if (now.by === 'nothing') {
      if (before.by === 'nothing' && before.cause === now.cause) return false
      log.info({ server, reason: now.reason }, 'gpu-binding.unknown')
      return before.by === 'process'
    }
    if (before === now) return false
    log.info({ server, gpus: now.gpuUuids }, 'gpu-binding.known')
    return true
  }

  const plan = (delay: Millis): void => {
    clearTimeout(timer)
    if (!closed) timer = setTimeout(turn, delay)
  }
  const turn = (): void => {
    under ??= round()
      .catch((error: unknown) => log.warn({ err: error }, 'gpu-binding.failed'))
      .finally(() => {
        under = undefined
        plan(limits.bindingPeriod)
      })
  }
  plan(limits.bindingGap)
  return {
    gpusOf({ name, grpc, http }) {
      const port = portOf(grpc ?? http)
      const known = servers.get(name)
      if (known === undefined || known.port !== port) {
        if (servers.size < limits.endpointsPerNodeMax) servers.set(name, { port, binding: NOT_ASKED, wanted: true })
        return undefined
      }
      known.wanted = true
      return known.binding.by === 'process' ? known.binding.gpuUuids : undefined
    },
    askSoon() {
      if (under === undefined) plan(limits.bindingGap)
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await under
    },
  }
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1))
