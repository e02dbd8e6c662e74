import type { Peer } from '../peer.ts'
import { grpcJs, nodeHttp2, tcpSplice } from './baselines.ts'
import { envoy, envoyTwo } from './envoy.ts'
import { haproxy } from './haproxy.ts'
import { millrace, millraceTwo } from './millrace.ts'
import { nginx } from './nginx.ts'

/** In the order of the tables; `direct`, the callers without any proxy, is not among them. */
export const PEERS: readonly Peer[] = [millrace, envoy, haproxy, nginx, tcpSplice, nodeHttp2, grpcJs, millraceTwo, envoyTwo]
