/** Wires a proxy together. */
import { setTimeout as delay } from 'node:timers/promises'
import { createLog } from '../core/edge/log.ts'
import { type Health, type HttpEndpoint, type Pages, serveMetrics } from '../core/edge/metrics.ts'
import { ProcessLife } from '../core/edge/process-life.ts'
import { announceReady } from '../core/edge/ready-line.ts'
import { EMPTY_SNAPSHOT, type MeshSnapshot } from '../core/mesh-snapshot.ts'
import { type ProxySettings, readProxySettings } from './config.ts'
import { checkConfig } from './wire/check-config.ts'
import { connectionRules } from './wire/connection-settings.ts'
import { explainPage } from './wire/explain-page.ts'
import { followControlPlane, restorePicture } from './wire/follow-control-plane.ts'
import type { FrontOptions } from './wire/front-door.ts'
import { Primary } from './wire/primary.ts'
import { OwnVitals } from './wire/process-metrics.ts'
import { createProxyMetrics } from './wire/proxy-metrics.ts'
import { replacePicture } from './wire/replace-picture.ts'
import { type FileForm, readStaticFile } from './wire/static-file.ts'
import { fileStamp, watchStaticFile } from './wire/static-watch.ts'
import { ListenerTls } from './wire/tls-listener.ts'
import { endpointTlsOf, listenerFilesOf } from './wire/tls-settings.ts'

const VERSION = '0.1.0'

export async function main(argv: readonly string[]): Promise<void> {
  const settings = readProxySettings(argv)
  if (settings.checkConfig) {
    process.stdout.write(`${checkConfig(settings)}\n`)
    return process.exit(0)
  }
  const log = createLog('data-plane', settings.logLevel)
  const life = new ProcessLife(log)
  const restored = settings.stateDir === undefined ? undefined : restorePicture(settings.stateDir, log)
  const file = pictureFileOf(settings)
  const stamp = file === undefined ? '' : fileStamp(file.path)
  let read = file === undefined ? EMPTY_SNAPSHOT : readStaticFile(file.path, file.form)
  const { workers, nameEndpoints, zone } = settings
  const front: FrontOptions = { proxyProtocolFrom: settings.proxyProtocolFrom }
  const files = listenerFilesOf(settings)
  const tls =
    files === undefined
      ? undefined
      : new ListenerTls(files, {
          wallClock: Date.now,
          onChange: (material) => primary.setFront({ ...front, tls: material }),
          tell: (level, event, fields) => log[level](fields, event),
        })
  const atFirst = tls === undefined ? front : { ...front, tls: tls.material }
  const primary = new Primary({
    ...{ listen: settings.listen, workers, nameEndpoints, zone, turnGrainMs: settings.turnGrainMs },
    ...{ front: atFirst, endpointTls: endpointTlsOf(settings), connections: connectionRules(settings), log },
  })
  // Closers run last first: metrics and health are there until everything else has ended.
  life.onStop('metrics', () => endpoint?.close())
  let endpoint: HttpEndpoint | undefined
  const vitals = new OwnVitals(settings.turnGrainMs)
  life.onStop('vitals', () => vitals.stop())
  life.onStop('workers', () => primary.stop())
  life.obeySignals()
  primary.change(restored === undefined ? read.endpoints : restored.held.map((one) => one.endpoint), [])
  primary.setHead(restored === undefined ? read : { ...read, version: restored.version })
  const listen = await primary.start()
  if (tls !== undefined) {
    tls.watch()
    life.onStop('certificates', () => tls.stop())
    process.on('SIGHUP', () => tls.reload())
  }
  process.on('SIGUSR2', () => void primary.restartWorkers())
  const { controlPlane: address, proxyId, stateDir: dir } = settings
  const state = dir === undefined ? undefined : { dir, restored }
  const about = { proxyId, zone, version: VERSION, log }
  const following = address === undefined ? undefined : followControlPlane(primary, { address, ...about }, () => read, state)
  if (following !== undefined) life.onStop('mesh stream', () => following.stop())
  const reloads = { good: 0, bad: 0 }
  if (file !== undefined) {
    const { path, form } = file
    const onSnapshot = async (snapshot: MeshSnapshot): Promise<void> => {
      read = snapshot
      if (following === undefined) await replacePicture(primary, snapshot)
      else primary.setHead({ ...snapshot, version: following.mesh.snapshotVersion || (restored?.version ?? '') })
      reloads.good++
      log.info({ version: snapshot.version, endpoints: snapshot.endpoints.length }, `${form}.read`)
    }
    const onBad = (complaint: string): void => {
      reloads.bad++
      log.error({ complaint }, `${form}.refused`)
    }
    life.onStop(`${form} file`, watchStaticFile(path, form, stamp, { onSnapshot, onBad }))
  }
  const registry = createProxyMetrics({ primary, following, staticReloads: reloads, tls, own: vitals, version: VERSION })
  const ready = (): Health => {
    if (life.stopping) return { ok: false, detail: 'this proxy is stopping' }
    const endpoints = primary.endpointCount
    return endpoints > 0 ? { ok: true, detail: `${endpoints} endpoints` } : { ok: false, detail: 'no endpoint is known yet' }
  }
  const why: Pages = { '/explain': (asked, caller) => explainPage(asked, caller, (query) => primary.explain(query)) }
  endpoint = await serveMetrics(settings.metricsListen, registry, ready, undefined, why)
  // Whoever watches /readyz sends no more before the listener closes.
  life.onStop('drain delay', () => delay(settings.drainDelay * 1_000))
  announceReady('data-plane', { listen, metrics: endpoint.address })
}

/** A proxy reads at most one: its whole picture, or what a control plane does not say. */
function pictureFileOf({ static: whole, models }: ProxySettings): { readonly path: string; readonly form: FileForm } | undefined {
  if (whole !== undefined) return { path: whole, form: 'static' }
  return models === undefined ? undefined : { path: models, form: 'models' }
}
