/**
 * The metrics page that Ray's agent writes for a node, of which the families of Ray Serve are read. Handles, deployments and replicas add up. What runs is
 * told by the replicas of the node; where none is on its page, by the routers, which count all that they sent anywhere. Requests without an application
 * are those for Ray Serve itself, our own looks at its health among them. Processes bring their numbers every 10 s, unless Ray is told otherwise.
 */
import { millis } from '../../core/units.ts'
import type { LoadReader } from './load-reader.ts'
import type { Page } from './prometheus-text.ts'
import { growth, reading, sum } from './reading.ts'

const QUEUED = 'ray_serve_deployment_queued_queries'
const PROCESSED = 'ray_serve_replica_processing_queries'
const ONGOING = 'ray_serve_num_ongoing_requests_at_replicas'
const HTTP_ENDED = 'ray_serve_num_http_requests'
const GRPC_ENDED = 'ray_serve_num_grpc_requests'

export const rayServe: LoadReader = {
  kind: 'ray-serve',
  families: [QUEUED, PROCESSED, ONGOING, HTTP_ENDED, GRPC_ENDED],
  recognise: (names) => [QUEUED, PROCESSED, ONGOING, HTTP_ENDED, GRPC_ENDED].some((name) => names.has(name)),
  rateSpan: millis(20_000),
  read(told) {
    const page = ofApplications(told)
    return reading({
      queueDepth: sum(page, [QUEUED]),
      running: sum(page, [PROCESSED]) ?? sum(page, [ONGOING]),
      requestsPerSecond: growth(page, [HTTP_ENDED, GRPC_ENDED]),
    })
  },
}

const ofApplications = ({ samples, left }: Page): Page => ({
  left,
  samples: new Map([...samples].map(([name, all]) => [name, all.filter(({ labels }) => labels.application !== '')])),
})
