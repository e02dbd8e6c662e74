/** What a proxy's front desk asks about a simulated request; each is of a tenant of the workload, and whole when it comes. */
import { millis } from '../../../core/units.ts'
import type { DeskReader } from '../../../data-plane/admission/front-desk.ts'
import type { Scenario } from '../scenario/scenario.ts'
import { LETTERS_PER_TOKEN } from '../workload/arrival.ts'
import type { Request } from './request.ts'

const bytesOf = ({ prompt }: Request): number => prompt.tokens * LETTERS_PER_TOKEN

export function requestReader({ workload, patienceSeconds }: Pick<Scenario, 'workload' | 'patienceSeconds'>): DeskReader<Request> {
  return {
    arrivalOf(request, { tenantKey }) {
      const tenant = workload.tenants[request.tenant]
      const name = tenantKey === undefined ? '' : (tenant?.name ?? '')
      const deadline = millis(request.at + 1000 * patienceSeconds)
      return { holder: request, deadline, bytes: bytesOf(request), more: false, band: tenant?.band, tenant: name }
    },
    goesOn: () => false,
    gone: () => false,
    bytes: bytesOf,
    messages: ({ answered }) => answered,
  }
}
