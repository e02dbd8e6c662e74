/** The part of a model's row that limits how many of its requests run at once and says who waits. What cannot be meant is refused where it stands. */
import { z } from 'zod'
import { limits } from '../../core/limits.ts'

/** Of HTTP/2 and of gRPC itself, or dropped from every request. */
const RESERVED = /^(:|grpc-|x-millrace-|te$|content-type$|content-length$)/

const key = z
  .string()
  .regex(/^[a-z0-9_.-]{1,128}$/, 'wants a metadata key: small letters, digits and - _ .')
  .refine((name) => !RESERVED.test(name) && !name.endsWith('-bin'), 'wants a text key of the application, not one of gRPC or of the proxy')
const band = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,32}$/, 'wants letters, digits and - _')
  .refine((name) => !/^\d+$/.test(name), 'wants a name that is no number: a number means a place in the list')

const fields = {
  concurrency: z.int().positive().max(limits.capacityMax).optional(),
  headroom: z.number().min(1).max(limits.headroomMax).optional(),
  queueMax: z.int().nonnegative().max(limits.queueMax).optional(),
  queueBytesMax: z.int().nonnegative().max(limits.queueBytesMax).optional(),
  maxWaitMs: z.int().positive().max(limits.queueWaitMax).optional(),
  priorityKey: key.optional(),
  bands: z
    .array(band)
    .min(1)
    .max(limits.bandsMax)
    .refine((names) => new Set(names).size === names.length, 'wants each band once')
    .optional(),
  defaultBand: z.string().optional(),
  tenantKey: key.optional(),
  weights: z
    .record(z.string().max(limits.tenantNameMax), z.number().positive().max(limits.tenantWeightMax))
    .refine((weights) => Object.keys(weights).length <= limits.tenantsMax, `wants at most ${limits.tenantsMax} tenants`)
    .optional(),
}

export const ADMISSION_FIELDS: readonly string[] = Object.keys(fields)

export const rowAdmission = z.strictObject(fields).superRefine((row, context) => {
  const wrong = (field: string, message: string): void => context.addIssue({ code: 'custom', path: [field], message })
  const { bands = [], priorityKey, defaultBand, tenantKey, weights, concurrency, headroom } = row
  if (bands.length > 1 && priorityKey === undefined) wrong('bands', 'needs priorityKey: nothing else tells a request its band')
  if (priorityKey !== undefined && bands.length < 2) wrong('priorityKey', 'needs two bands or more')
  if (defaultBand !== undefined && !bands.includes(defaultBand))
    wrong('defaultBand', `wants one of the bands: ${bands.join(', ') || 'none'}`)
  if (weights !== undefined && tenantKey === undefined) wrong('weights', 'needs tenantKey: nothing else tells a request its tenant')
  if (concurrency !== undefined && headroom !== undefined) wrong('headroom', 'goes with the capacities of endpoints, not with concurrency')
})
