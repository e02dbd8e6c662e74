/** nginx with grpc_pass: one worker, connections to the backends kept. It speaks to a backend with one request per connection at a time. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findOrInstall, type Peer, runToEnd, startOnFreePort, type Tls, versionIn } from '../peer.ts'

const certificates = (tls: Tls | undefined): string =>
  tls === undefined ? '' : `ssl_certificate ${tls.cert}; ssl_certificate_key ${tls.key}; ssl_protocols TLSv1.3;`

const config = (port: number, backends: readonly string[], failover: boolean, tls: Tls | undefined, folder: string): string => `
worker_processes 1; daemon off; pid ${folder}/nginx.pid; error_log ${folder}/nginx.err;
events { worker_connections 16384; }
http {
  access_log off; http2_max_concurrent_streams 10000; keepalive_requests 100000000; http2_recv_buffer_size 1m;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  upstream backends { ${backends.map((one) => `server ${one};`).join(' ')} keepalive 1024; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} ${tls === undefined ? '' : 'ssl '}http2; ${certificates(tls)}
    location / {
      grpc_pass grpc://backends; grpc_buffer_size 64k; grpc_next_upstream ${failover ? 'error timeout non_idempotent' : 'off'};
    }
  }
}`

export const nginx: Peer = {
  name: 'nginx',
  about: 'grpc_pass, one worker',
  needs: 'Debian package nginx',
  canRetry: true,
  canTls: true,
  roundsMax: 2,
  async find(say) {
    const program = await findOrInstall('nginx', say)
    if (typeof program !== 'string') return { state: 'absent', ...program }
    return {
      state: 'found',
      version: versionIn((await runToEnd(program, ['-v'])).output),
      async start({ backends, failover, tls, folder }) {
        const file = join(folder, 'nginx.conf')
        const { child, address } = await startOnFreePort('nginx', (port) => {
          writeFileSync(file, config(port, backends, failover, tls, folder))
          return [program, '-p', folder, '-e', join(folder, 'nginx.err'), '-c', file]
        })
        return { address, pid: child.pid, stop: () => child.stop() }
      },
    }
  },
}
