/** What the metrics page says of the listener's certificates. Absent where TLS is not set up. */
import { Counter, Gauge, type Registry } from '../../core/edge/metrics.ts'
import type { ListenerTls } from './tls-listener.ts'

export function addTlsMetrics(registry: Registry, tls: ListenerTls): void {
  const registers = [registry]
  new Gauge({
    name: 'millrace_tls_certificate_expiry_seconds',
    help: 'Unix time at which the certificate of the listener expires.',
    registers,
    collect() {
      this.set(tls.expiresAt)
    },
  })
  new Counter({
    name: 'millrace_tls_reloads_total',
    help: 'Times that certificates were read again.',
    registers,
    collect() {
      this.reset()
      this.inc(tls.reloads.good)
    },
  })
  new Counter({
    name: 'millrace_tls_reloads_refused_total',
    help: 'Certificate files that were wrong or had expired; the last good ones stayed.',
    registers,
    collect() {
      this.reset()
      this.inc(tls.reloads.bad)
    },
  })
}
