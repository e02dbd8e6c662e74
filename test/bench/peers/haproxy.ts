/** HAProxy: one thread, HTTP/2 on both sides, windows as large as the others' have them. */
import { readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { findOrInstall, type Peer, runToEnd, startOnFreePort, versionIn } from '../peer.ts'

const FAILOVER = `
  retries 3
  option redispatch
  retry-on conn-failure empty-response response-timeout`

const config = (bind: string, backends: readonly string[], failover: boolean, statistics: string): string => `
global
  nbthread 1
  stats socket ${statistics} level user
  tune.h2.max-concurrent-streams 10000
  tune.h2.initial-window-size 1048576
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend callers
  bind ${bind}
  default_backend servers
backend servers
  balance leastconn${failover ? FAILOVER : ''}
${backends.map((one, i) => `  server s${i} ${one} proto h2`).join('\n')}
`

/** The backend's row of `show stat`, whose first line names the columns. */
async function countRetries(statistics: string): Promise<number | undefined> {
  const socket = connect(statistics)
  socket.end('show stat\n')
  const [names, ...rows] = (await text(socket)).split('\n').map((line) => line.replace(/^# /, '').split(','))
  const row = rows.find((one) => one[0] === 'servers' && one[1] === 'BACKEND')
  const count = row?.[names?.indexOf('wretr') ?? -1]
  return count === undefined || count === '' ? undefined : Number(count)
}

export const haproxy: Peer = {
  name: 'haproxy',
  about: 'one thread, h2 on both sides',
  needs: 'Debian package haproxy',
  canRetry: true,
  canTls: true,
  async find(say) {
    const program = await findOrInstall('haproxy', say)
    if (typeof program !== 'string') return { state: 'absent', ...program }
    return {
      state: 'found',
      version: versionIn((await runToEnd(program, ['-v'])).output),
      async start({ backends, failover, tls, folder }) {
        const file = join(folder, 'haproxy.cfg')
        const statistics = join(folder, 'haproxy.sock')
        const pem = join(folder, 'haproxy.pem')
        if (tls !== undefined) writeFileSync(pem, `${readFileSync(tls.cert, 'utf8')}${readFileSync(tls.key, 'utf8')}`)
        const how = tls === undefined ? 'proto h2' : `ssl crt ${pem} alpn h2`
        const { child, address } = await startOnFreePort('haproxy', (port) => {
          writeFileSync(file, config(`127.0.0.1:${port} ${how}`, backends, failover, statistics))
          return [program, '-db', '-f', file]
        })
        return { address, pid: child.pid, retries: () => countRetries(statistics), stop: () => child.stop() }
      },
    }
  },
}
