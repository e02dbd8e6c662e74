/**
 * Reads what an orchestrator says of a container: labels that begin with `millrace.`, and which port of the host leads to which of its own. A port is known
 * by its number within the container, which is its kind's usual one unless a label names another.
 */
import { isServerKind, KINDS, SERVER_KINDS, type ServerKind } from '../backend/kinds.ts'
import { USUAL_PROBE } from '../probe/probe-wish.ts'
import type { ServerRow } from './server-spec.ts'

export type Container = {
  readonly name: string
  /** Where its published ports are; loopback when nobody says. */
  readonly address?: string | undefined
  readonly labels: Readonly<Record<string, string>>
  readonly ports?: readonly { readonly container: number; readonly host: number }[] | undefined
}

/** `ignored`: no inference server of ours. `problem` is about the label. */
export type ReadContainer = { readonly row: ServerRow } | 'ignored' | { readonly label: string; readonly problem: string }

const PREFIX = 'millrace.'
const DOORS = ['grpc', 'http', 'metrics', 'management'] as const
const PORT = 'port.'
export const LABELS = [
  'kind',
  'name',
  'models',
  'gpus',
  'capacity',
  'advertise',
  'probe',
  'enable',
  ...DOORS.map((door) => PORT + door),
] as const

export function readContainer(container: Container): ReadContainer {
  const labels = new Map(
    Object.entries(container.labels).flatMap(([label, value]) =>
      label.startsWith(PREFIX) ? [[label.slice(PREFIX.length), value.trim()]] : [],
    ),
  )
  if (labels.size === 0 || labels.get('enable') === 'false') return 'ignored'
  const stranger = [...labels.keys()].find((label) => !(LABELS as readonly string[]).includes(label))
  if (stranger !== undefined)
    return wrong(stranger, `there is no such label; known are ${LABELS.map((label) => PREFIX + label).join(', ')}`)
  const kind = labels.get('kind') ?? SERVER_KINDS[0]
  if (!isServerKind(kind)) return wrong('kind', `wants one of ${SERVER_KINDS.join(', ')}`)
  const capacity = labels.get('capacity')
  if (capacity !== undefined && !/^[1-9]\d{0,5}$/.test(capacity)) return wrong('capacity', 'wants a whole number from 1')
  const probe = labels.get('probe')
  if (probe !== undefined && probe !== 'off' && probe !== 'deep') return wrong('probe', 'wants off or deep')
  const bad = DOORS.find((door) => !/^\d{1,5}$/.test(labels.get(PORT + door) ?? '0'))
  if (bad !== undefined) return wrong(PORT + bad, 'wants the number of a port')
  const at = addresses(container, kind, labels)
  if (at.grpc === undefined && at.http === undefined)
    return wrong('kind', `none of its ports is a usual one of ${kind}: say which by ${PREFIX}${PORT}http`)
  return {
    row: {
      name: labels.get('name') ?? container.name,
      kind,
      grpc: at.grpc,
      http: at.http,
      metrics: at.metrics && `http://${at.metrics}${KINDS[kind].metrics.path}`,
      management: at.management,
      advertise: labels.get('advertise'),
      models: listed(labels.get('models')),
      gpus: listed(labels.get('gpus')),
      capacity: capacity === undefined ? undefined : Number(capacity),
      probe: probe === 'off' ? { ...USUAL_PROBE, deep: false } : undefined,
    },
  }
}

const wrong = (label: string, problem: string) => ({ label: PREFIX + label, problem })

type Addresses = { readonly [D in (typeof DOORS)[number]]?: string }

function addresses(container: Container, kind: ServerKind, labels: ReadonlyMap<string, string>): Addresses {
  const found: { [D in (typeof DOORS)[number]]?: string } = {}
  for (const door of DOORS) {
    const inside = Number(labels.get(PORT + door) ?? KINDS[kind].ports[door])
    // Without a table of ports it shares the host's network, and has the ports that it has.
    const outside = container.ports === undefined ? inside : container.ports.find((port) => port.container === inside)?.host
    if (outside !== undefined && Number.isFinite(outside)) found[door] = `${container.address ?? '127.0.0.1'}:${outside}`
  }
  return found
}

function listed(text: string | undefined): readonly string[] | undefined {
  const parts = text?.split(',').flatMap((part) => part.trim() || [])
  return parts === undefined || parts.length === 0 ? undefined : parts
}
