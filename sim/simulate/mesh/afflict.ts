/** What a fault does to a node when it begins, and when it is over. */
import type { Millis } from '../../../core/units.ts'
import type { Fault } from '../scenario/scenario.ts'
import type { SimNode } from './node.ts'
import type { Request } from './request.ts'

export type Struck = {
  /** The server's next moment may be another now. */
  arm(node: SimNode): void
  /** The connections of these broke. */
  lose(requests: readonly Request[]): void
}

export function afflict(node: SimNode, { kind, factor }: Fault, begins: boolean, now: Millis, struck: Struck): void {
  switch (kind) {
    case 'crash':
      return struck.lose(node.suffer(begins ? 'crashed' : 'well', now))
    case 'hang':
    case 'fail-fast':
      node.suffer(begins ? (kind === 'hang' ? 'hung' : 'failing') : 'well', now)
      return struck.arm(node)
    case 'slow':
      node.server.advance(now)
      node.server.setSpeed(begins ? 1 / factor : 1, now)
      return struck.arm(node)
    case 'lie-idle':
      node.lies = begins
      return
    case 'throttle-flap':
      node.throttled = false
      return
    default:
      return kind satisfies never
  }
}
