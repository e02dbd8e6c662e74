/** What became of a process's connection to NATS, on its page of metrics. */
import { Counter, Gauge, type Registry } from './metrics.ts'
import { NATS_LOSSES, type NatsLink } from './nats-link.ts'

export function natsMetrics(registry: Registry, part: 'agent' | 'control', link: Pick<NatsLink, 'losses' | 'denied' | 'state'>): void {
  const registers = [registry]
  new Counter({
    name: `millrace_${part}_nats_losses_total`,
    help: 'Times that the connection to NATS ended, by why',
    labelNames: ['loss'],
    registers,
    collect() {
      this.reset()
      for (const loss of NATS_LOSSES) this.inc({ loss }, link.losses[loss])
    },
  })
  new Counter({
    name: `millrace_${part}_nats_denied_total`,
    help: 'Messages and subscriptions that the permissions of NATS did not let through',
    registers,
    collect() {
      this.reset()
      this.inc(link.denied.count)
    },
  })
  new Gauge({
    name: `millrace_${part}_nats_up`,
    help: 'Whether NATS is connected',
    registers,
    collect() {
      this.set(link.state() === 'up' ? 1 : 0)
    },
  })
}
