/** The one door for scenario files, YAML or JSON: what is wrong is told with file, line and field. */
import { z } from 'zod'
import { fieldOf, inWords, readPlaced } from '../../../core/edge/placed-file.ts'
import { UsageError } from '../../../core/edge/usage-error.ts'
import { ADMISSION_FIELDS, rowAdmission } from '../../../data-plane/wire/row-admission.ts'
import { GPU_KINDS, GPU_RULES } from '../servers/gpu-kinds.ts'
import { slotRules } from '../servers/slot-server.ts'
import type { Fault, Scenario, ServerRules } from './scenario.ts'

/** As many as one control plane holds. */
const ENDPOINTS_MAX = 10_000

const seconds = z.number().min(0).max(86_400)
const share = z.number().min(0).max(1)
const count = (most: number) => z.int().min(1).max(most)

const gpus = z.strictObject({
  gpu: z.enum(GPU_KINDS),
  count: count(ENDPOINTS_MAX).default(1),
  slots: count(100_000).optional(),
  queueMax: z.int().min(0).max(1_000_000).optional(),
})
const slots = z.strictObject({
  slots: count(100_000),
  prefillMs: z.number().min(0).max(3_600_000),
  tokenMs: z.number().min(0).max(3_600_000),
  jitter: share.default(0.1),
  queueMax: z.int().min(0).max(1_000_000).default(100),
  count: count(ENDPOINTS_MAX).default(1),
})

const lengths = z.strictObject({
  median: z.number().min(1).max(1_000_000),
  sigma: z.number().min(0).max(3).default(0),
  max: z.int().min(1).max(1_000_000),
})

const workload = z.strictObject({
  prompt: lengths,
  output: lengths,
  bursts: z
    .strictObject({ everySeconds: seconds.min(0.1), lastingSeconds: seconds.min(0.1), factor: z.number().min(1).max(100) })
    .optional(),
  sessions: z
    .strictObject({
      turns: z.number().min(1).max(1_000),
      live: count(100_000),
      systemPrompts: count(100_000),
      systemTokens: z.int().min(0).max(100_000),
    })
    .optional(),
  tenants: z
    .array(z.strictObject({ name: z.string().min(1), share: z.number().positive(), band: z.string().optional() }))
    .min(1)
    .default([{ name: 'all', share: 1 }]),
})

const fault = z.strictObject({
  atSeconds: seconds,
  lastingSeconds: seconds,
  kind: z.enum(['crash', 'hang', 'slow', 'fail-fast', 'lie-idle', 'throttle-flap']),
  nodes: z.array(z.int().min(0)).min(1),
  factor: z.number().min(1).max(1_000).default(4),
})

const file = z.strictObject({
  about: z.string().min(1),
  fleet: z.array(z.union([gpus, slots])).min(1, 'wants at least one row, for example { gpu: h100, count: 4 }'),
  workload,
  telemetry: z
    .strictObject({
      delayMs: z.number().min(0).max(60_000).default(2),
      jitterMs: z.number().min(0).max(60_000).default(3),
      lostShare: share.default(0),
    })
    .prefault({}),
  faults: z.array(fault).default([]),
  admission: rowAdmission.optional(),
  proxies: count(100).default(2),
  warmUpSeconds: seconds.default(30),
  seconds: seconds.min(1).default(300),
  loads: z.array(z.number().min(0.01).max(5)).min(1).default([0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2]),
  ttftGoalMs: z.number().positive().default(1_000),
  patienceSeconds: seconds.min(0.1).default(60),
})

const KNOWN: Readonly<Record<string, readonly string[]>> = {
  '': Object.keys(file.shape),
  fleet: [...new Set([...Object.keys(gpus.shape), ...Object.keys(slots.shape)])],
  workload: Object.keys(workload.shape),
  prompt: Object.keys(lengths.shape),
  output: Object.keys(lengths.shape),
  bursts: ['everySeconds', 'lastingSeconds', 'factor'],
  sessions: ['turns', 'live', 'systemPrompts', 'systemTokens'],
  tenants: ['name', 'share', 'band'],
  telemetry: ['delayMs', 'jitterMs', 'lostShare'],
  faults: Object.keys(fault.shape),
  admission: ADMISSION_FIELDS,
}

const knownAt = (path: readonly PropertyKey[]): readonly string[] =>
  KNOWN[String(path.findLast((part) => typeof part === 'string') ?? '')] ?? []

/** Throws a UsageError that names the place. `path` is shown; its last part names the scenario. */
export const parseScenario = (text: string, path: string): Scenario => inWords(path, () => parse(text, path))

function parse(text: string, path: string): Scenario {
  const placed = readPlaced(text, path)
  const read = file.safeParse(placed.value)
  if (!read.success) {
    const [issue] = read.error.issues
    throw new UsageError(issue === undefined ? `${path}: not a scenario` : placed.complaint(issue, knownAt))
  }
  const { fleet, ...rest } = read.data
  const servers = fleet.flatMap((row) => Array.from({ length: row.count }, () => serverOf(row)))
  const complain = (at: readonly PropertyKey[], words: string): never => {
    throw new UsageError(`${path}:${placed.lineOf(at)}: ${fieldOf(at)}: ${words}`)
  }
  if (servers.length > ENDPOINTS_MAX) complain(['fleet'], `${servers.length} servers, and ${ENDPOINTS_MAX} are the most`)
  for (const [at, { nodes }] of rest.faults.entries()) {
    const stranger = nodes.find((node) => node >= servers.length)
    if (stranger !== undefined)
      complain(['faults', at, 'nodes'], `there is no server ${stranger}; they count from 0 to ${servers.length - 1}`)
  }
  checkTenants(rest, complain)
  return { ...rest, name: nameOf(path), faults: rest.faults satisfies readonly Fault[], servers }
}

/** Traffic and queue speak of the same tenants and the same bands. */
function checkTenants(
  { workload: { tenants }, admission }: Pick<Scenario, 'workload' | 'admission'>,
  complain: (at: readonly PropertyKey[], words: string) => void,
): void {
  const { bands = [], weights = {} } = admission ?? {}
  for (const [at, { band }] of tenants.entries())
    if (band !== undefined && !bands.includes(band))
      complain(['workload', 'tenants', at, 'band'], `wants one of admission.bands: ${bands.join(', ') || 'there are none'}`)
  for (const name of Object.keys(weights))
    if (!tenants.some((tenant) => tenant.name === name))
      complain(['admission', 'weights', name], `is no tenant of the workload; there are ${tenants.map((tenant) => tenant.name).join(', ')}`)
}

function serverOf(row: z.infer<typeof gpus> | z.infer<typeof slots>): ServerRules {
  if (!('gpu' in row)) return { kind: 'slots', rules: slotRules(row.slots, row.queueMax, row.prefillMs, row.tokenMs, row.jitter) }
  const usual = GPU_RULES[row.gpu]
  return { kind: 'batch', rules: { ...usual, slots: row.slots ?? usual.slots, queueMax: row.queueMax ?? usual.queueMax } }
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1).replace(/\.(ya?ml|json)$/, '')
