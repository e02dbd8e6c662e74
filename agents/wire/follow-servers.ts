/** Keeps the list of the host's servers: as set, as files tell, as found on usual ports. What is left out, and why, is said once. */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/edge/log.ts'
import { mergeServers, type Told } from '../discovery/merge-servers.ts'
import { advertisedSpec, type ServerSpec } from '../discovery/server-spec.ts'
import { findServers } from './find-servers.ts'
import { followServerFiles } from './server-files.ts'

export type ServerSources = {
  readonly servers: readonly ServerSpec[]
  readonly serversFrom: string | undefined
  readonly discover: boolean
  readonly advertiseHost: string | undefined
}

export type FollowedServers = {
  specs(): readonly ServerSpec[]
  /** What is wrong with what was told, in words. */
  problems(): readonly string[]
  /** Resolves when the usual ports were asked once, where they are asked at all. */
  looked(): Promise<void>
  close(): Promise<void>
}

export function followServers(
  sources: ServerSources,
  clock: Clock,
  log: Logger,
  onServers: (specs: readonly ServerSpec[]) => void,
): FollowedServers {
  const toSpec = (row: Parameters<typeof advertisedSpec>[0]): ServerSpec => advertisedSpec(row, sources.advertiseHost)
  let refused: readonly string[] = []
  let specs: readonly ServerSpec[] = []

  const merge = (): void => {
    const told: Told[] = [{ from: 'the settings', specs: sources.servers }]
    for (const { from, rows } of files?.told() ?? []) told.push({ from, specs: rows.map(toSpec) })
    if (finder !== undefined) told.push({ from: '--discover', specs: finder.found().map(toSpec) })
    const merged = mergeServers(told)
    for (const problem of merged.refused) if (!refused.includes(problem)) log.warn({ problem }, 'server.left-out')
    refused = merged.refused
    specs = merged.specs
    onServers(specs)
  }
  let begun = false
  const changed = (): void => void (begun && merge())
  const files = sources.serversFrom === undefined ? undefined : followServerFiles(sources.serversFrom, log, changed)
  const taken = (): ReadonlySet<string> =>
    new Set(specs.flatMap(({ name, grpc, http, management }) => (found(name) ? [] : [grpc ?? '', http, management ?? ''])))
  const finder = sources.discover ? findServers({ clock, log, taken, onChange: changed }) : undefined
  const found = (name: string): boolean => finder?.found().some((row) => row.name === name) ?? false
  begun = true
  merge()
  const looked = finder?.look()
  return {
    specs: () => specs,
    problems: () => [...(files?.problems() ?? []), ...refused],
    looked: async () => looked,
    async close() {
      files?.close()
      await finder?.close()
    },
  }
}
