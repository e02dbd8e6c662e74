/** What a load of 1 is: requests per second that a whole fleet can end for ever, of the traffic that it gets. */
import { seededDraw } from '../../model-server/queue.ts'
import { batchCapacity, slotCapacity } from '../servers/capacity.ts'
import type { TrafficSource } from '../workload/arrival.ts'
import { meanRequest, Workload } from '../workload/workload.ts'
import type { Scenario } from './scenario.ts'

export const trafficOf =
  ({ workload }: Pick<Scenario, 'workload'>): TrafficSource =>
  (ratePerSecond, from, draw) =>
    new Workload(workload, ratePerSecond, from, draw)

export function capacityPerSecond(scenario: Pick<Scenario, 'servers' | 'workload'>, traffic = trafficOf(scenario)): number {
  const mean = meanRequest(traffic, seededDraw(1))
  return scenario.servers.reduce(
    (sum, { kind, rules }) => sum + (kind === 'batch' ? batchCapacity(rules, mean) : slotCapacity(rules, mean)),
    0,
  )
}
