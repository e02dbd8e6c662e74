/** The settings of a proxy. */
import { hostname } from 'node:os'
import { z } from 'zod'
import { flag, hostPort, logLevel, readSettings, type Settings, UsageError, wholeNumber } from '../core/edge/settings.ts'
import { connectionSettings } from './wire/connection-settings.ts'
import { checkTlsSettings, tlsSettings } from './wire/tls-settings.ts'

const WORKERS_MAX = 64

const verb = {
  name: 'data-plane',
  about: 'Relays gRPC inference requests to the endpoints of a mesh. Takes its picture of the fleet from a control plane or from a file.',
  example: 'millrace data-plane --static mesh.json --listen 127.0.0.1:7400',
  settings: {
    listen: { value: 'host:port', about: 'where clients connect', schema: hostPort, fallback: '127.0.0.1:7400' },
    metricsListen: { value: 'host:port', about: 'metrics and health over HTTP', schema: hostPort, fallback: '127.0.0.1:7404' },
    static: { value: 'file', about: 'a snapshot file instead of a control plane; read again when it changes', schema: z.string().min(1) },
    controlPlane: { value: 'host:port', about: 'the control plane to follow', schema: hostPort },
    models: {
      value: 'file',
      about: 'models and routes of a proxy that follows a control plane; read again when it changes',
      schema: z.string().min(1),
    },
    stateDir: {
      value: 'dir',
      about: 'where the last good picture is kept, to start from while the control plane is away',
      schema: z.string().min(1),
    },
    checkConfig: { about: 'read all settings and files, say what was found, and end; opens no port', schema: flag, fallback: false },
    workers: { value: 'n', about: 'worker processes that relay', schema: wholeNumber(1, WORKERS_MAX), fallback: 1 },
    proxyId: {
      value: 'id',
      about: 'name of this proxy in the mesh',
      schema: z.string().min(1).max(128),
      fallback: `${hostname()}-${process.pid}`,
    },
    zone: { value: 'zone', about: 'where this proxy stands', schema: z.string().max(64), fallback: '' },
    ...tlsSettings,
    ...connectionSettings,
    nameEndpoints: { about: 'say in each answer which endpoint gave it (x-millrace-endpoint)', schema: flag, fallback: false },
    turnGrainMs: {
      value: 'ms',
      about:
        'how finely turns of the event loop are timed for the metrics page; 1 sees all that matter and costs a wake-up each millisecond',
      schema: wholeNumber(1, 100),
      fallback: 10,
    },
    logLevel: { value: 'level', about: 'trace, debug, info, warn, error or silent', schema: logLevel, fallback: 'info' },
  },
} as const

export type ProxySettings = Settings<typeof verb.settings>

export function readProxySettings(argv: readonly string[]): ProxySettings {
  const settings = readSettings(verb, argv)
  if ((settings.static === undefined) === (settings.controlPlane === undefined))
    throw new UsageError('needs exactly one of --static FILE and --control-plane HOST:PORT')
  if (settings.stateDir !== undefined && settings.controlPlane === undefined)
    throw new UsageError('--state-dir goes with --control-plane: a static file is on the disk already')
  if (settings.models !== undefined && settings.controlPlane === undefined)
    throw new UsageError('--models goes with --control-plane: a static file names models itself')
  checkTlsSettings(settings)
  return settings
}
