import { expect, test } from 'vitest'
import { explainDial } from './nats-dial.ts'

const keyed = { credsFile: 'a.nk', tls: undefined }
const open = { credsFile: undefined, tls: undefined }
const proven = { credsFile: 'a.nk', tls: { caFile: 'ca.pem', certFile: 'me.crt', keyFile: 'me.key' } }

test.each([
  ['CONNECTION_REFUSED', open, 'away', 'NATS at h:1 does not answer (CONNECTION_REFUSED); is nats-server running there?'],
  ['ETIMEDOUT', open, 'away', 'does not answer (ETIMEDOUT)'],
  ['ENOTFOUND', open, 'away', 'no such name (ENOTFOUND); correct --nats'],
  ['AUTHORIZATION_VIOLATION', open, 'refused', 'lets nobody in without a key; give one by --nats-creds FILE'],
  ['AUTHORIZATION_VIOLATION', keyed, 'refused', 'does not take the key in a.nk'],
  ['SELF_SIGNED_CERT_IN_CHAIN', keyed, 'refused', 'name it by --nats-tls-ca FILE'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', proven, 'refused', 'no authority in ca.pem signed'],
  ['CERT_HAS_EXPIRED', proven, 'refused', 'has expired; renew it'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', proven, 'refused', 'a certificate for other names'],
  ['SERVER_OPT_NA', proven, 'refused', 'speaks no TLS'],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', keyed, 'refused', 'give one by --nats-tls-cert'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', proven, 'refused', 'see that me.crt is valid'],
  ['', open, 'away', 'does not answer (boom)'],
] as const)('%s is told with its cure', (code, access, kind, words) => {
  const failure = explainDial(Object.assign(new Error('boom'), { code }), 'h:1', access)
  expect(failure.kind).toBe(kind)
  expect(failure.message).toContain(words)
})
