/** How a part reaches the bus and proves who it is: the same flags for agents and control planes. Secrets are named by file, never given. */
import { z } from 'zod'
import type { NatsAccess } from './nats-dial.ts'
import { hostPort, type Setting, UsageError } from './settings.ts'

const servers = z
  .union([z.string(), z.array(z.string())])
  .transform((given) => [given].flat().flatMap((text) => text.split(',').map((part) => part.trim())))
  .pipe(z.array(hostPort).min(1))

const file = z.string().min(1, 'wants the path of a file')

export const natsSettings = {
  nats: { value: 'servers', about: 'the bus: host:port, several with commas between', schema: servers, fallback: ['127.0.0.1:4222'] },
  natsCreds: { value: 'file', about: 'the key that this part has on the bus (millrace admin nats-config writes it)', schema: file },
  natsTlsCa: { value: 'file', about: 'the authorities that may sign the certificate of NATS; makes TLS a must', schema: file },
  natsTlsCert: { value: 'file', about: 'our certificate, where NATS asks for one', schema: file },
  natsTlsKey: { value: 'file', about: 'its key', schema: file },
} as const satisfies Record<string, Setting<unknown>>

type Read = {
  readonly nats: readonly string[]
  readonly natsCreds: string | undefined
  readonly natsTlsCa: string | undefined
  readonly natsTlsCert: string | undefined
  readonly natsTlsKey: string | undefined
}

export function natsAccess({ nats, natsCreds, natsTlsCa, natsTlsCert, natsTlsKey }: Read): NatsAccess {
  if ((natsTlsCert === undefined) !== (natsTlsKey === undefined))
    throw new UsageError('--nats-tls-cert and --nats-tls-key go together: a certificate is of no use without its key')
  const tls = natsTlsCa !== undefined || natsTlsCert !== undefined
  return {
    servers: nats,
    credsFile: natsCreds,
    tls: tls ? { caFile: natsTlsCa, certFile: natsTlsCert, keyFile: natsTlsKey } : undefined,
  }
}
