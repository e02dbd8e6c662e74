/** Watches all inference servers of the host. They come and go: one that stays as it was told is watched on, one that changed is watched anew. */
import type { EndpointReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { ServerSpec } from '../discovery/server-spec.ts'
import type { ServerWatch } from './watch-server.ts'

export type ServerWatches = {
  /** In order of their names. */
  reports(): readonly EndpointReport[]
  /** From now on these are the servers of the host. */
  become(specs: readonly ServerSpec[]): void
  /** Each of them was looked at once. */
  seen(): boolean
  /** One of them is being asked for its load. */
  reading(): boolean
  /** Looks at all of them now, and asks every model. */
  probeNow(): Promise<void>
  close(): Promise<void>
}

type Watched = { readonly told: string; readonly watch: ServerWatch }

export function watchServers(start: (spec: ServerSpec) => ServerWatch): ServerWatches {
  let watched: ReadonlyMap<string, Watched> = new Map()
  const ending = new Set<Promise<void>>()
  const end = ({ watch }: Watched): void => {
    const closed = watch.close().finally(() => ending.delete(closed))
    ending.add(closed)
  }
  return {
    reports: () => [...watched.values()].map(({ watch }) => watch.report()),
    become(specs) {
      const before = watched
      watched = new Map(
        [...specs]
          .sort((a, b) => (a.name < b.name ? -1 : 1))
          .map((spec): [string, Watched] => {
            const told = JSON.stringify(spec)
            const known = before.get(spec.name)
            return [spec.name, known?.told === told ? known : { told, watch: start(spec) }]
          }),
      )
      for (const [name, one] of before) if (watched.get(name) !== one) end(one)
    },
    seen: () => [...watched.values()].every(({ watch }) => watch.seen()),
    reading: () => [...watched.values()].some(({ watch }) => watch.reading()),
    probeNow: async () => void (await Promise.all([...watched.values()].map(({ watch }) => watch.probeNow()))),
    async close() {
      for (const one of watched.values()) end(one)
      watched = new Map()
      await Promise.all(ending)
    },
  }
}
