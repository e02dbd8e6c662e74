/** Looks for inference servers on their usual ports of this host, now and again. One that was found keeps its name while it restarts, and is forgotten when it stays away. */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import { type Millis, mib } from '../../core/units.ts'
import { KINDS, SERVER_KINDS, type ServerKind } from '../backend/kinds.ts'
import { recognise, TELLING_PATHS } from '../discovery/recognise-server.ts'
import type { ServerRow } from '../discovery/server-spec.ts'
import { httpAsk } from './http-ask.ts'

export type FoundServers = {
  found(): readonly ServerRow[]
  /** Resolves when every port was asked. */
  look(): Promise<void>
  close(): Promise<void>
}

export type FindServersOptions = {
  readonly clock: Clock
  readonly log: Logger
  /** Addresses that somebody told of are not asked what they are. */
  readonly taken: () => ReadonlySet<string>
  readonly onChange: () => void
  readonly ports?: readonly number[]
}

const PAGE_MAX = mib(1)
const USUAL_PORTS: readonly number[] = [...new Set(SERVER_KINDS.map((kind) => KINDS[kind].ports.http))]

type Found = { readonly kind: ServerKind; readonly seenAt: Millis }

export function findServers({ clock, log, taken, onChange, ports = USUAL_PORTS }: FindServersOptions): FoundServers {
  const known = new Map<string, Found>()

  const look = async (): Promise<void> => {
    const before = [...known.keys()].join()
    for (const port of ports) {
      const at = `127.0.0.1:${port}`
      if (taken().has(at)) continue
      const kind = await kindAt(at)
      const now = clock.now()
      if (kind !== undefined && (kind === known.get(at)?.kind || !known.has(at))) {
        if (!known.has(at)) log.info({ at, kind }, 'server.found')
        known.set(at, { kind, seenAt: now })
      } else if (now - (known.get(at)?.seenAt ?? now) > limits.foundServerForgotten) {
        log.info({ at }, 'server.forgotten')
        known.delete(at)
      }
    }
    if ([...known.keys()].join() !== before) onChange()
  }
  let under: Promise<void> | undefined
  const lookOnce = (): Promise<void> => {
    under ??= look().finally(() => {
      under = undefined
    })
    return under
  }
  const timer = setInterval(() => void lookOnce(), limits.discoverPeriod)
  return {
    found: () => [...known].map(([at, { kind }]) => ({ name: `${kind}-${at.slice(at.lastIndexOf(':') + 1)}`, kind, http: at })),
    look: lookOnce,
    async close() {
      clearInterval(timer)
      await under
    },
  }
}

async function kindAt(at: string): Promise<ServerKind | undefined> {
  for (const path of TELLING_PATHS) {
    const answer = await httpAsk(`http://${at}${path}`, limits.probeTimeout, PAGE_MAX)
    if (answer.kind === 'refused' || answer.kind === 'timeout') return undefined
    const kind = answer.kind === 'answer' && answer.status === 200 ? recognise(path, answer.body) : undefined
    if (kind !== undefined) return kind
  }
  return undefined
}
