/** The settings of TLS and of what else is looked at before a client is let in: on the listener, and towards endpoints of a control plane. */
import { z } from 'zod'
import { flag, type Settings, UsageError } from '../../core/edge/settings.ts'
import type { EndpointTls } from '../../core/mesh-snapshot.ts'
import { parseRange } from './proxy-protocol.ts'
import { identityProblem } from './tls-identity.ts'
import type { ListenerFiles } from './tls-listener.ts'

/** One string with commas, as flags and variables have it, or several. */
const list = (one: z.ZodType<string>) =>
  z.preprocess(
    (value) => [value].flat().flatMap((text) => (typeof text === 'string' ? text.split(',').map((part) => part.trim()) : [text])),
    z.array(one),
  )
const ranges = list(z.string().refine((one) => parseRange(one) !== undefined, 'wants addresses or ranges, for example 10.0.0.0/8,fd00::/8'))
const identity = z.string().superRefine((one, context) => {
  const message = identityProblem(one)
  if (message !== undefined) context.addIssue({ code: 'custom', message: `${one}: ${message}` })
})
const path = z.string().min(1)

export const tlsSettings = {
  proxyProtocolFrom: {
    value: 'cidr,…',
    about: 'load balancers that put a PROXY protocol header (version 2) in front of each connection; required of them, refused from others',
    schema: ranges,
    fallback: [],
  },
  tlsCert: {
    value: 'file',
    about: 'PEM certificate of this proxy with its chain; read again when it changes, and on SIGHUP',
    schema: path,
  },
  tlsKey: { value: 'file', about: 'PEM key of --tls-cert', schema: path },
  tlsClientCa: {
    value: 'file',
    about: 'PEM authorities: every client must then show a certificate that one of them has signed',
    schema: path,
  },
  tlsClientIdentities: {
    value: 'name,…',
    about: 'DNS names or URIs of which such a certificate must hold one; *.example.org and spiffe://mesh/ns/prod/* stand for all below',
    schema: list(identity),
    fallback: [],
  },
  tlsOnly: { about: 'take nothing but TLS on the listener; --tls-client-ca implies it', schema: flag, fallback: false },
  endpointTls: {
    about: 'speak TLS to the endpoints that the control plane names; a static file says it of each',
    schema: flag,
    fallback: false,
  },
  endpointTlsCa: {
    value: 'file',
    about: 'PEM authorities that may have signed their certificates; without it those of the system',
    schema: path,
  },
  endpointTlsCert: { value: 'file', about: 'PEM certificate that this proxy shows them', schema: path },
  endpointTlsKey: { value: 'file', about: 'PEM key of --endpoint-tls-cert', schema: path },
  endpointTlsIdentity: {
    value: 'name',
    about: 'DNS name or URI that their certificates must hold, in place of the host that is dialled',
    schema: identity,
  },
} as const

export type TlsSettings = Settings<typeof tlsSettings>

/** What a single setting cannot tell of itself. */
export function checkTlsSettings(settings: TlsSettings & { readonly static: string | undefined }): void {
  const { tlsCert, tlsKey, tlsClientCa, tlsOnly, tlsClientIdentities, endpointTls, endpointTlsCert, endpointTlsKey } = settings
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw new UsageError('--tls-cert and --tls-key need one another')
  if (tlsCert === undefined && (tlsClientCa !== undefined || tlsOnly))
    throw new UsageError('--tls-client-ca and --tls-only need --tls-cert and --tls-key')
  if (tlsClientCa === undefined && tlsClientIdentities.length > 0)
    throw new UsageError('--tls-client-identities needs --tls-client-ca: without an authority a name proves nothing')
  if ((endpointTlsCert === undefined) !== (endpointTlsKey === undefined))
    throw new UsageError('--endpoint-tls-cert and --endpoint-tls-key need one another')
  if (!endpointTls && [settings.endpointTlsCa, endpointTlsCert, settings.endpointTlsIdentity].some((one) => one !== undefined))
    throw new UsageError('--endpoint-tls-… needs --endpoint-tls: without it endpoints are spoken to in clear')
  if (endpointTls && settings.static !== undefined)
    throw new UsageError('--endpoint-tls goes with --control-plane: in a static file each endpoint says "tls" itself')
}

/** Absent when the listener speaks no TLS. */
export function listenerFilesOf(settings: TlsSettings): ListenerFiles | undefined {
  const { tlsCert: cert, tlsKey: key, tlsClientCa: clientCa, tlsClientIdentities: clientIdentities, tlsOnly } = settings
  if (cert === undefined || key === undefined) return undefined
  const required = clientCa === undefined ? {} : { clientCa }
  return { cert, key, ...required, clientIdentities, only: tlsOnly || clientCa !== undefined }
}

/** Of endpoints that say nothing themselves; absent: they are spoken to in clear. */
export function endpointTlsOf(settings: TlsSettings): EndpointTls | undefined {
  const { endpointTls, endpointTlsCa: ca, endpointTlsCert: cert, endpointTlsKey: key, endpointTlsIdentity } = settings
  return endpointTls ? { ca, cert, key, identity: endpointTlsIdentity } : undefined
}
