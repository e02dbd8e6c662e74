/** Puts reports on the bus. One that is larger than receivers take is dropped here, with a line that says so, rather than there without one. */
import type { Logger } from '../../core/edge/log.ts'
import type { NatsLink } from '../../core/edge/nats-link.ts'
import { limits } from '../../core/limits.ts'
import { NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

const LINES_APART = 1_000

export type PublishCounts = {
  readonly published: (kind: 'full' | 'delta') => void
  readonly dropped: (reason: 'link-down' | 'link-slow' | 'too-large') => void
}

export function reportPublisher(link: NatsLink, subject: string, log: Logger, count: PublishCounts): (report: NodeReport) => boolean {
  let tooLarge = 0
  return (report) => {
    const message = NodeReport.encode(report).finish()
    if (message.length > limits.reportBytesMax) {
      count.dropped('too-large')
      // One of many: as long as it is too large, so is the next.
      if (tooLarge++ % LINES_APART === 0) log.warn({ bytes: message.length, bytesMax: limits.reportBytesMax }, 'report.too-large')
      return false
    }
    const handed = link.publish(subject, message)
    if (handed === 'handed-over') count.published(report.full ? 'full' : 'delta')
    else count.dropped(handed)
    return handed === 'handed-over'
  }
}
