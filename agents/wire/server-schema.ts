/** The form of one server in a file. Numbers of GPUs may be written without quotes. */
import { z } from 'zod'
import { hostPort, wholeNumber } from '../../core/edge/settings.ts'
import { isNodeId } from '../../core/ids.ts'
import { limits } from '../../core/limits.ts'
import { SERVER_KINDS } from '../backend/kinds.ts'
import { clashOf, type ServerRow, specOf } from '../discovery/server-spec.ts'

export const names = z
  .union([z.string().transform((text) => text.split(',')), z.array(z.union([z.string(), z.number()]).transform(String))])
  .transform((parts) => parts.map((part) => part.trim()).filter((part) => part !== ''))
  .refine((parts) => parts.length > 0, 'wants names with commas between')

export const serverName = z.string().refine(isNodeId, 'wants letters, digits, _ and -, at most 63, for example triton')
export const metricsUrl = z.string().regex(/^http:\/\/[^/\s]+\//, 'wants a URL, for example http://127.0.0.1:8002/metrics')
export const capacity = wholeNumber(1, 1_000_000)

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
}

export const serverRow: z.ZodType<ServerRow> = z.strictObject(fields)
export const SERVER_FIELDS: readonly string[] = Object.keys(fields)

export const serverRows = z
  .array(serverRow)
  .max(limits.endpointsPerNodeMax)
  .superRefine((rows, context) => {
    const clash = clashOf(rows.map(specOf))
    if (clash !== undefined) context.addIssue({ code: 'custom', path: [clash.at, clash.field], message: clash.problem })
  })
