/**
 * What one choice of an endpoint costs: picked, charged and settled, by policy and fleet, in one process and nothing else. `npm run bench:picks`.
 * Half of the fleet reports a queue, the rest free places; each endpoint is told anew in turn, as a control plane would, outside of the time taken.
 * Figures are CPU time, medians of interleaved rounds: whatever else runs on the machine disturbs caches only.
 */
import { type Endpoint, POLICIES, type PolicyName } from '../../core/mesh-snapshot.ts'
import { millis } from '../../core/units.ts'
import type { EndpointSlot } from '../../data-plane/routing/endpoint-slot.ts'
import { Ledger } from '../../data-plane/routing/ledger.ts'
import { pick } from '../../data-plane/routing/pick.ts'
import { RoutingTable } from '../../data-plane/routing/routing-table.ts'

const FLEETS = [10, 10_000]
const GOAL_US = new Map([
  [10, 1.5],
  [10_000, 3],
])
const ROUNDS = 5
const PICKS = 50_000
/** Requests that are open at any time, for each ten endpoints of a small fleet; a large one has as many as its places let be charged and settled. */
const OPEN = 400
const MODEL = 'llm'

const endpoint = (at: number, zones: boolean): Endpoint => ({
  ...{ id: `gpu-${at}/triton`, node: `gpu-${at}`, zone: zones ? `z${at % 3}` : '', address: '127.0.0.1:1', protocol: 'KSERVE_GRPC' },
  ...{ models: [MODEL], weight: 100 * (1 + (at % 4)), state: 'READY', freshness: 'fresh', capacity: 16 * (1 + (at % 4)) },
})

class Bench {
  readonly policy: PolicyName
  readonly size: number
  readonly zones: boolean
  readonly tookUs: number[] = []
  readonly #table: RoutingTable
  readonly #ledger = new Ledger()
  readonly #open: EndpointSlot[] = []
  readonly #slots: readonly EndpointSlot[]
  #now = 0
  #told = 0
  #key = 1

  constructor(policy: PolicyName, size: number, zones: boolean) {
    this.policy = policy
    this.size = size
    this.zones = zones
    const endpoints = Array.from({ length: size }, (_, at) => endpoint(at, zones))
    const order = zones ? { z0: [['z1']] } : undefined
    this.#table = new RoutingTable(
      { version: '', models: [{ name: MODEL, policy }], routes: [], endpoints, zones: order },
      undefined,
      zones ? 'z0' : '',
    )
    this.#slots = this.#table.slots
    for (const slot of this.#slots) this.#tell(slot)
  }

  /** So many picks, in slices between which reports come in. */
  round(keep: boolean): void {
    let took = 0
    for (let slice = 0; slice < 100; slice++) {
      const before = process.cpuUsage()
      for (let i = 0; i < PICKS / 100; i++) this.#pick()
      const { user, system } = process.cpuUsage(before)
      took += user + system
      for (let i = 0; i < Math.min(this.size, 100); i++) this.#tell(this.#slots[this.#told++ % this.size] as EndpointSlot)
    }
    if (keep) this.tookUs.push(took / PICKS)
  }

  #pick(): void {
    this.#now += 0.05
    const now = millis(this.#now)
    this.#key = (this.#key * 48_271) % 2_147_483_647
    const candidates = this.#table.candidatesFor(MODEL)
    const slot = candidates && pick(candidates, { now, draw: Math.random, excluded: NOBODY, key: this.#key })
    if (slot === undefined) throw new Error('every endpoint is READY')
    this.#ledger.charge(slot, now)
    this.#open.push(slot)
    if (this.#open.length < OPEN) return
    const at = this.#key % OPEN
    const ended = this.#open[at] as EndpointSlot
    this.#open[at] = this.#open[OPEN - 1] as EndpointSlot
    this.#open.pop()
    ended.firstByte.record(millis(20 + (this.#key % 40)), now)
    this.#ledger.answered(ended)
    this.#ledger.settle(ended, 'success', false, true, now)
  }

  #tell(slot: EndpointSlot): void {
    const queueDepth = this.#told % 2 === 0 ? 0 : this.#told % 7
    const load = { queueDepth, running: slot.charged + 4, kvCacheUse: (this.#told % 10) / 12, requestsPerSecond: 8 }
    slot.report({ load, sampledAt: millis(this.#now) })
  }
}

const NOBODY: readonly EndpointSlot[] = []

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

function main(): void {
  const benches = FLEETS.flatMap((size) => [
    ...POLICIES.map((policy) => new Bench(policy, size, false)),
    new Bench('LEAST_WAIT', size, true),
  ])
  for (let round = 0; round <= ROUNDS; round++) {
    process.stderr.write(`round ${round} of ${ROUNDS}${round === 0 ? ' (warm-up)' : ''}\n`)
    for (const bench of benches) bench.round(round > 0)
  }
  process.stdout.write(`| policy | ${FLEETS.map((size) => `${size} endpoints, µs`).join(' | ')} |\n|---|${'---|'.repeat(FLEETS.length)}\n`)
  const rows = new Map<string, string[]>()
  for (const { policy, size, zones, tookUs } of benches) {
    const name = `\`${policy}\`${zones ? ', three levels of zones' : ''}`
    const took = median(tookUs)
    rows.set(name, [...(rows.get(name) ?? []), `${took.toFixed(2)}${took > (GOAL_US.get(size) ?? 0) ? ' (above the goal)' : ''}`])
  }
  for (const [name, cells] of rows) process.stdout.write(`| ${name} | ${cells.join(' | ')} |\n`)
}

main()
