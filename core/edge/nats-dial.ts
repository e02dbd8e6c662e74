/**
 * One attempt at one NATS server, and what its failure means: `away` is waited for, `refused` is told to whoever can mend it. Files are read anew at each
 * attempt, so that renewed certificates and keys count without a restart. Keys are in files only: no error and no log line carries one.
 */
import { readFileSync } from 'node:fs'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import { type Authenticator, connect, credsAuthenticator, ErrorCode, type NatsConnection, nkeyAuthenticator, nkeys } from 'nats'
import { limits } from '../limits.ts'
import { splitHostPort } from './listen.ts'

export type NatsTls = {
  readonly caFile: string | undefined
  readonly certFile: string | undefined
  readonly keyFile: string | undefined
}

export type NatsAccess = {
  readonly servers: readonly string[]
  readonly credsFile: string | undefined
  /** Undefined: TLS only when the server wants it, proven by the authorities of the system. */
  readonly tls: NatsTls | undefined
}

/** How the connection is known on the server, and where answers to its requests come in. */
export type NatsSelf = { readonly name: string; readonly inbox: string }

export class DialFailure extends Error {
  readonly kind: 'away' | 'refused'

  constructor(kind: 'away' | 'refused', detail: string) {
    super(detail)
    this.kind = kind
  }
}

const PING_MS = 2_000
const PINGS_UNANSWERED_MAX = 2

export async function dialNats(server: string, access: NatsAccess, self: NatsSelf): Promise<NatsConnection> {
  const { credsFile, tls } = access
  const secrets = {
    ...(credsFile === undefined ? {} : { authenticator: authenticatorOf(credsFile) }),
    ...(tls === undefined ? {} : { tls: tlsOf(server, tls) }),
  }
  try {
    return await connect({
      servers: [server],
      name: self.name,
      inboxPrefix: self.inbox,
      timeout: limits.busDialTimeout,
      pingInterval: PING_MS,
      maxPingOut: PINGS_UNANSWERED_MAX,
      // Whoever owns the connection dials again: the client's own way keeps to itself why it is refused, and dials at once with everybody else.
      reconnect: false,
      ignoreClusterUpdates: true,
      ...secrets,
    })
  } catch (error) {
    throw explainDial(error as NodeJS.ErrnoException, server, access)
  }
}

function authenticatorOf(path: string): Authenticator {
  const text = read('--nats-creds', path)
  const bytes = new TextEncoder().encode(text)
  if (text.includes('BEGIN NATS USER JWT')) return credsAuthenticator(bytes)
  const seed = text.split('\n').find((line) => line.trim().startsWith('SU'))
  try {
    const key = new TextEncoder().encode(seed?.trim() ?? '')
    nkeys.fromSeed(key)
    return nkeyAuthenticator(key)
  } catch {
    throw new DialFailure(
      'refused',
      `--nats-creds ${path} holds no key of a NATS user (a line that begins with SU, or a .creds file); take the file that millrace admin nats-config wrote`,
    )
  }
}

function tlsOf(server: string, { caFile, certFile, keyFile }: NatsTls) {
  const { host } = splitHostPort(server)
  return {
    ...(caFile === undefined ? {} : { ca: read('--nats-tls-ca', caFile) }),
    ...(certFile === undefined ? {} : { cert: read('--nats-tls-cert', certFile) }),
    ...(keyFile === undefined ? {} : { key: read('--nats-tls-key', keyFile) }),
    // The client names no host where the address is an IP, and the check would be against "localhost".
    checkServerIdentity: (_: string, certificate: PeerCertificate) => checkServerIdentity(host, certificate),
  }
}

function read(flag: string, path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new DialFailure('refused', `${flag} ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

const UNTRUSTED =
  /^(UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN|DEPTH_ZERO_SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT(_LOCALLY)?|CERT_SIGNATURE_FAILURE|CERT_UNTRUSTED|INVALID_CA)$/
const AUTH: readonly string[] = [ErrorCode.AuthorizationViolation, ErrorCode.AuthenticationExpired, ErrorCode.AccountExpired]

/** One line with cause and cure. */
export function explainDial(error: NodeJS.ErrnoException, server: string, { credsFile, tls }: Omit<NatsAccess, 'servers'>): DialFailure {
  const code = error.code ?? ''
  const refused = (detail: string): DialFailure => new DialFailure('refused', `NATS at ${server} ${detail}`)
  if (AUTH.includes(code))
    return credsFile === undefined
      ? refused('lets nobody in without a key; give one by --nats-creds FILE (millrace admin nats-config writes it)')
      : refused(
          `does not take the key in ${credsFile}; see that it is the newest for this part, and that nats-server has read its newest configuration (nats-server --signal reload)`,
        )
  if (UNTRUSTED.test(code))
    return refused(
      tls?.caFile === undefined
        ? `has a certificate of an authority that this host does not know (${code}); name it by --nats-tls-ca FILE`
        : `has a certificate that no authority in ${tls.caFile} signed (${code}); give the right one by --nats-tls-ca, or see who answers there`,
    )
  if (code === 'CERT_HAS_EXPIRED' || code === 'CERT_NOT_YET_VALID')
    return refused(`has a certificate that ${code === 'CERT_HAS_EXPIRED' ? 'has expired; renew it' : 'is not valid yet; see its clock'}`)
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return refused(`has a certificate for other names (${error.message}); call it by one of those`)
  if (code === ErrorCode.ServerOptionNotAvailable)
    return refused('speaks no TLS; give nats-server a tls block, or leave out --nats-tls-ca and --nats-tls-cert')
  if (/^ERR_(SSL|TLS|OSSL)/.test(code))
    return refused(
      tls?.certFile === undefined
        ? `ended the TLS handshake (${code}): it may want a certificate of ours; give one by --nats-tls-cert and --nats-tls-key`
        : `ended the TLS handshake (${code}); see that ${tls.certFile} is valid, fits its key, and is signed by an authority that NATS knows`,
    )
  if (code === 'ENOTFOUND') return new DialFailure('away', `NATS at ${server}: no such name (ENOTFOUND); correct --nats`)
  const why = code === '' ? error.message : code
  return new DialFailure('away', `NATS at ${server} does not answer (${why}); is nats-server running there?`)
}
