/**
 * The metrics page that Ray's agent writes for a node, of which the families of Ray Serve are read. Handles, deployments and replicas add up. What runs is
 * told by the replicas of the node; where none is on its page, by the routers, which count all that they sent anywhere.
 */
import type { LoadReader } from './load-reader.ts'
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
  read(page) {
    return reading({
      queueDepth: sum(page, [QUEUED]),
      running: sum(page, [PROCESSED]) ?? sum(page, [ONGOING]),
      requestsPerSecond: growth(page, [HTTP_ENDED, GRPC_ENDED]),
    })
  },
}
