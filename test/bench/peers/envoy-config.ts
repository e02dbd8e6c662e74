/** Envoy's listener and cluster: windows as large as the others' have them, limits out of the way, nothing between but the router. */
import type { Tls } from '../peer.ts'

const windows = { initial_stream_window_size: 1 << 20, initial_connection_window_size: 1 << 24 }
const TYPES = 'type.googleapis.com/envoy.extensions.'

const retryPolicy = {
  retry_on: 'connect-failure,refused-stream,reset,unavailable',
  num_retries: 2,
  host_selection_retry_max_attempts: 5,
  retry_host_predicate: [
    {
      name: 'another-one',
      typed_config: { '@type': `${TYPES}retry.host.previous_hosts.v3.PreviousHostsPredicate` },
    },
  ],
}
const ejection = { consecutive_5xx: 3, interval: '0.5s', base_ejection_time: '30s', max_ejection_percent: 50 }

export const listenerOf = (failover: boolean, tls: Tls | undefined): object => ({
  name: 'callers',
  address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
  filter_chains: [
    { filters: [{ name: 'connections', typed_config: connectionManager(failover) }], ...(tls === undefined ? {} : transportOf(tls)) },
  ],
})

const transportOf = ({ cert, key }: Tls): object => ({
  transport_socket: {
    name: 'tls',
    typed_config: {
      '@type': `${TYPES}transport_sockets.tls.v3.DownstreamTlsContext`,
      common_tls_context: {
        alpn_protocols: ['h2'],
        tls_certificates: [{ certificate_chain: { filename: cert }, private_key: { filename: key } }],
      },
    },
  },
})

const connectionManager = (failover: boolean): object => ({
  '@type': `${TYPES}filters.network.http_connection_manager.v3.HttpConnectionManager`,
  stat_prefix: 'callers',
  codec_type: 'HTTP2',
  generate_request_id: false,
  http2_protocol_options: { max_concurrent_streams: 100_000, ...windows },
  route_config: {
    virtual_hosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [
          { match: { prefix: '/' }, route: { cluster: 'backends', timeout: '0s', ...(failover ? { retry_policy: retryPolicy } : {}) } },
        ],
      },
    ],
  },
  http_filters: [{ name: 'router', typed_config: { '@type': `${TYPES}filters.http.router.v3.Router`, dynamic_stats: false } }],
})

export const clusterOf = (backends: readonly string[], failover: boolean): object => ({
  name: 'backends',
  type: 'STATIC',
  connect_timeout: '1s',
  lb_policy: 'LEAST_REQUEST',
  ...(failover ? { outlier_detection: ejection } : {}),
  circuit_breakers: {
    thresholds: [{ max_requests: 100_000, max_pending_requests: 100_000, max_connections: 1_000, max_retries: 1_000 }],
  },
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': `${TYPES}upstreams.http.v3.HttpProtocolOptions`,
      explicit_http_config: { http2_protocol_options: windows },
    },
  },
  load_assignment: {
    cluster_name: 'backends',
    endpoints: [{ lb_endpoints: backends.map((one) => ({ endpoint: { address: socketAddress(one) } })) }],
  },
})

function socketAddress(hostPort: string): object {
  const [address, port] = hostPort.split(':')
  return { socket_address: { address, port_value: Number(port) } }
}
