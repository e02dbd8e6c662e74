/** Puts reports on the bus. One that is larger than receivers take is dropped here, with a line that says so, rather than there without one. */
import type { Logger } from '../../core/edge/log.ts'
import type { NatsLink } from '../../core/edge/nats-link.ts'
import { limits } from '../../core/limits.ts'
import { NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export type PublishCounts = {
  readonly published: (kind: 'full' | 'delta') => void
  readonly dropped: (reason: 'link-down' | 'link-slow' | 'too-large') => void
}

export function reportPublisher(link: NatsLink, subject: string, log: Logger, count: PublishCounts): (report: NodeReport) => boolean {
  return (report) => {
    const message = NodeReport.encode(report).finish()
    if (message.length > limits.reportBytesMax) {
      count.dropped('too-large')
      log.warn({ bytes: message.length, bytesMax: limits.reportBytesMax }, 'report.too-large')
      return false
    }
    const handed = link.publish(subject, message)
    if (handed === 'handed-over') count.published(report.full ? 'full' : 'delta')
    else count.dropped(handed)
    return handed === 'handed-over'
  }
}
