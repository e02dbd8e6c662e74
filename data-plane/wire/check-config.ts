/** `--check-config`: reads all that a start would read and says what it found, in one line. What is wrong is thrown, as at a start. Opens no port. */
import type { ProxySettings } from '../config.ts'
import { readStaticFile } from './static-file.ts'
import { ListenerTls } from './tls-listener.ts'
import { endpointTlsOf, listenerFilesOf } from './tls-settings.ts'
import { TlsContexts } from './tls-upstream.ts'

export function checkConfig(settings: ProxySettings): string {
  const found: string[] = []
  const contexts = new TlsContexts(() => {})
  if (settings.static === undefined) found.push(`follows the control plane at ${settings.controlPlane}`)
  if (settings.models !== undefined) {
    const { models, routes } = readStaticFile(settings.models, 'models')
    found.push(`${settings.models} names ${count(models, 'model')} and ${count(routes, 'route')}`)
  }
  if (settings.static !== undefined) {
    const { endpoints, models, routes } = readStaticFile(settings.static)
    for (const { tls } of endpoints) if (tls !== undefined) contexts.get(tls)
    found.push(`${settings.static} names ${count(endpoints, 'endpoint')}, ${count(models, 'model')} and ${count(routes, 'route')}`)
  }
  const ofEndpoints = endpointTlsOf(settings)
  if (ofEndpoints !== undefined) contexts.get(ofEndpoints)
  const files = listenerFilesOf(settings)
  if (files !== undefined) {
    const { expiresAt } = new ListenerTls(files, { wallClock: Date.now, onChange: () => {}, tell: () => {} })
    found.push(`${files.cert} is good until ${new Date(expiresAt * 1_000).toISOString()}`)
  }
  return `ok: ${found.join('; ')}; would listen on ${settings.listen} with ${settings.workers} worker${settings.workers === 1 ? '' : 's'}`
}

const count = (of: readonly unknown[], what: string): string => `${of.length} ${what}${of.length === 1 ? '' : 's'}`
