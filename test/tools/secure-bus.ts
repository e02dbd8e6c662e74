/** A bus with keys, made by the verb that operators use, in a folder that goes with the test. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type NatsConnection, nkeyAuthenticator } from 'nats'
import { startVerb } from '../../cli/child.ts'

export class SecureBus {
  readonly folder = mkdtempSync(join(tmpdir(), 'millrace-bus-'))

  /** `millrace admin nats-config --out … `; answers with what it printed. */
  async configure(...argv: readonly string[]): Promise<string> {
    const child = await startVerb('nats-config', 'admin', ['nats-config', '--out', this.folder, ...argv])
    if ((await child.exited) !== 0) throw new Error(child.stderr.join('\n'))
    return [...child.stdout, ...child.stderr].join('\n')
  }

  get config(): string {
    return join(this.folder, 'nats-server.conf')
  }

  get controlPlaneKey(): string {
    return join(this.folder, 'creds/default/control-plane.nk')
  }

  nodeKey(node: string): string {
    return join(this.folder, `creds/default/nodes/${node}.nk`)
  }

  secretOf(path: string): string {
    return readFileSync(path, 'utf8').trim()
  }

  /** A bare client with somebody's key. */
  connect(url: string, key: string, inboxPrefix: string): Promise<NatsConnection> {
    const seed = new TextEncoder().encode(this.secretOf(key))
    return connect({ servers: url, authenticator: nkeyAuthenticator(seed), inboxPrefix, reconnect: false })
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true })
  }
}
