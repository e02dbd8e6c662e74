/** The form of one server in a file. Numbers of GPUs may be written without quotes. */
import { z } from 'zod'
import type { KnownFields } from '../../core/edge/placed-file.ts'
import { hostPort, wholeNumber } from '../../core/edge/settings.ts'
import { isNodeId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { SERVER_KINDS } from '../backend/kinds.ts'
import { readContainer } from '../discovery/container-labels.ts'
import { clashOf, type ServerRow, specOf } from '../discovery/server-spec.ts'
import { GIVEN_TYPES, tensorProblem } from '../probe/given-request.ts'
import { type ProbeWish, USUAL_PROBE } from '../probe/probe-wish.ts'

export const names = z
  .union([z.string().transform((text) => text.split(',')), z.array(z.union([z.string(), z.number()]).transform(String))])
  .transform((parts) => parts.map((part) => part.trim()).filter((part) => part !== ''))
  .refine((parts) => parts.length > 0, 'wants names with commas between')

export const serverName = z.string().refine(isNodeId, 'wants letters, digits, _ and -, at most 63, for example triton')
export const metricsUrl = z.string().regex(/^http:\/\/[^/\s]+\//, 'wants a URL, for example http://127.0.0.1:8002/metrics')
export const capacity = wholeNumber(1, limits.capacityMax)

const spanMs = z.int().min(1).max(3_600_000)
const scalar = z.union([z.boolean(), z.number(), z.string()])

const tensor = z
  .strictObject({
    name: z.string().min(1),
    datatype: z.enum(GIVEN_TYPES),
    shape: z.array(z.int().min(0)),
    data: z.array(scalar),
  })
  .superRefine((one, context) => {
    const message = tensorProblem(one)
    if (message !== undefined) context.addIssue({ code: 'custom', path: ['data'], message })
  })

/** YAML 1.1 reads a bare `off` as false. */
const off = z.union([z.literal('off'), z.literal(false)]).transform((): 'off' => 'off')
const question = z.union(
  [
    off,
    z.strictObject({ inputs: z.array(tensor).min(1), parameters: z.record(z.string(), scalar).optional() }),
    z.strictObject({ path: z.string().startsWith('/'), body: z.unknown() }),
  ],
  'wants off, a KServe request with its inputs, or the path and the body of an HTTP request',
)

const probe: z.ZodType<ProbeWish> = z.union(
  [
    off.transform((): ProbeWish => ({ ...USUAL_PROBE, deep: false })),
    z.literal('deep').transform(() => USUAL_PROBE),
    z
      .strictObject({ everyMs: spanMs.optional(), timeoutMs: spanMs.optional(), models: z.record(z.string(), question).optional() })
      .transform(
        ({ everyMs, timeoutMs, models }): ProbeWish => ({
          deep: true,
          period: millis(everyMs ?? USUAL_PROBE.period),
          timeout: millis(timeoutMs ?? USUAL_PROBE.timeout),
          questions: models ?? {},
        }),
      ),
  ],
  'wants off, deep, or everyMs, timeoutMs and the questions of models',
)

const fields = {
  name: serverName.optional(),
  kind: z.enum(SERVER_KINDS).optional(),
  grpc: hostPort.optional(),
  http: hostPort.optional(),
  metrics: metricsUrl.optional(),
  management: hostPort.optional(),
  advertise: hostPort.optional(),
  models: names.optional(),
  gpus: names.optional(),
  capacity: capacity.optional(),
  probe: probe.optional(),
}

export const serverRow: z.ZodType<ServerRow> = z.strictObject(fields)

/** For the complaint about a field that there is not. */
export function knownServerFields(path: readonly PropertyKey[]): readonly string[] {
  const [last, before] = [path.at(-1), path.at(-2)]
  if (before === 'inputs') return ['name', 'datatype', 'shape', 'data']
  if (before === 'models') return ['inputs and parameters', 'path and body']
  return last === 'probe' ? ['everyMs', 'timeoutMs', 'models'] : Object.keys(fields)
}

export const serverRows = z
  .array(serverRow)
  .max(limits.endpointsPerNodeMax)
  .superRefine((rows, context) => {
    const clash = clashOf(rows.map(specOf))
    if (clash !== undefined) context.addIssue({ code: 'custom', path: [clash.at, clash.field], message: clash.problem })
  })

const port = wholeNumber(1, 65_535)
const container = z
  .strictObject({
    name: serverName,
    address: z
      .string()
      .regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+)$/, 'wants a host without a port')
      .optional(),
    labels: z.record(z.string(), z.coerce.string()),
    ports: z.array(z.strictObject({ container: port, host: port })).optional(),
  })
  .transform((one, context): ServerRow | 'ignored' => {
    const read = readContainer(one)
    if (read === 'ignored') return read
    if ('row' in read) return read.row
    context.addIssue({ code: 'custom', path: ['labels', read.label], message: read.problem })
    return z.NEVER
  })

/** What an orchestrator, or a person, writes beside the agent: rows as in the agent's own file, containers with their labels, or both. */
export const serverFile = z.strictObject({ servers: serverRows.default([]), containers: z.array(container).max(1_000).default([]) })

export const knownInServerFile: KnownFields = (path) => {
  if (path.length === 0) return ['servers', 'containers']
  return path[0] === 'containers' ? ['name', 'address', 'labels', 'ports'] : knownServerFields(path)
}
