/** What the agent's metrics page says of the servers: one label per endpoint of this host, gone when the endpoint is. */
import { Counter, Gauge, Histogram, type Registry } from '../../core/edge/metrics.ts'
import type { Millis } from '../../core/units.ts'
import { type EndpointReport, endpointHealthToJSON } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { Verdict } from '../probe/weigh-answer.ts'
import { SCRAPES, type Scrape } from './scrape-load.ts'

export type ServerCounts = {
  readonly onVerdict: (verdict: Verdict['kind'], took: Millis) => void
  readonly onScrape: (scrape: Scrape) => void
}

const VERDICTS = ['passed', 'busy', 'failed', 'senseless'] as const

export function serverMetrics(registry: Registry, reports: () => readonly EndpointReport[]): (id: string) => ServerCounts {
  const registers = [registry]
  const endpoint = 'endpoint'
  const probes = new Counter({
    name: 'millrace_agent_probes_total',
    help: 'Tiny inferences asked of a server, by what came of them',
    labelNames: [endpoint, 'verdict'],
    registers,
  })
  const took = new Histogram({
    name: 'millrace_agent_probe_seconds',
    help: 'How long tiny inferences took that passed',
    labelNames: [endpoint],
    buckets: [0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5],
    registers,
  })
  const scrapes = new Counter({
    name: 'millrace_agent_scrapes_total',
    help: 'Times a metrics page of an inference server was asked for, by how that ended',
    labelNames: [endpoint, 'ended'],
    registers,
  })
  const known = new Set<string>()
  const forgetGone = (): void => {
    const here = new Set(reports().map(({ id }) => id))
    for (const id of known)
      if (!here.has(id)) {
        known.delete(id)
        for (const verdict of VERDICTS) probes.remove({ endpoint: id, verdict })
        took.remove({ endpoint: id })
        for (const ended of SCRAPES) scrapes.remove({ endpoint: id, ended })
      }
  }
  new Gauge({
    name: 'millrace_agent_endpoint_state',
    help: '1 for the state that holds: starting, ready, busy or failed',
    labelNames: [endpoint, 'state'],
    registers,
    collect() {
      forgetGone()
      this.reset()
      for (const { id, health } of reports()) this.set({ endpoint: id, state: stateOf(health) }, 1)
    },
  })
  return (id) => {
    known.add(id)
    return {
      onVerdict(verdict, span) {
        probes.inc({ endpoint: id, verdict })
        if (verdict === 'passed') took.observe({ endpoint: id }, span / 1_000)
      },
      onScrape: (ended) => scrapes.inc({ endpoint: id, ended }),
    }
  }
}

const stateOf = (health: EndpointReport['health']): string => endpointHealthToJSON(health).replace('ENDPOINT_HEALTH_', '').toLowerCase()
