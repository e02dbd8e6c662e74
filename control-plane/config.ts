/** The settings of a control plane. */
import { z } from 'zod'
import { natsAccess, natsSettings } from '../core/edge/nats-settings.ts'
import { hostPort, logLevel, readSettings, type Setting } from '../core/edge/settings.ts'
import { isMeshName } from '../core/ids.ts'

const settings = {
  listen: { value: 'host:port', about: 'gRPC for proxies and operators; loopback only', schema: hostPort, fallback: '127.0.0.1:7401' },
  metricsListen: { value: 'host:port', about: 'metrics and health over HTTP', schema: hostPort, fallback: '127.0.0.1:7402' },
  ...natsSettings,
  mesh: {
    value: 'name',
    about: 'several meshes can share one bus',
    schema: z.string().refine(isMeshName, 'wants small letters, digits and -'),
    fallback: 'default',
  },
  logLevel: { value: 'level', about: 'trace, debug, info, warn, error or silent', schema: logLevel, fallback: 'info' },
} as const satisfies Record<string, Setting<unknown>>

export function readConfig(argv: readonly string[]) {
  const read = readSettings(
    {
      name: 'control-plane',
      about: 'Folds what agents report into one picture of the fleet and pushes states and weights to proxies.',
      example: 'millrace control-plane --listen 127.0.0.1:7401 --nats 127.0.0.1:4222',
      settings,
    },
    argv,
  )
  return { ...read, bus: natsAccess(read) }
}

export type Config = ReturnType<typeof readConfig>
