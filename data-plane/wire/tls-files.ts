/** Reads certificates and keys from PEM files, and says of a bad one what is wrong and what would be right. Secrets never reach a message. */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { UsageError } from '../../core/edge/settings.ts'

export type KeyPair = { readonly cert: string; readonly key: string; readonly leaf: X509Certificate }

const CERTIFICATE = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----/
const BLOCK = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g

/** The certificate's chain and its key, which fit together. `named` says in messages where the two paths come from. */
export function readKeyPair(certPath: string, keyPath: string, named: { readonly cert: string; readonly key: string }): KeyPair {
  const cert = readPem(certPath, named.cert)
  const leaf = certificatesIn(cert, certPath, named.cert)[0] as X509Certificate
  const key = readPem(keyPath, named.key)
  if (!leaf.checkPrivateKey(parseKey(key, keyPath, named.key)))
    throw new UsageError(
      `${named.key} ${keyPath}: this key does not belong to the certificate in ${certPath} (${leaf.subject.replaceAll('\n', ', ')}); give the key that it was made with`,
    )
  return { cert, key, leaf }
}

/** Authorities to trust: one certificate or many, one behind the other. */
export function readAuthorities(path: string, named: string): string {
  const text = readPem(path, named)
  certificatesIn(text, path, named)
  return text
}

function readPem(path: string, named: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const cause =
      code === 'ENOENT'
        ? 'there is no such file'
        : code === 'EACCES'
          ? 'this user may not read it'
          : code === 'EISDIR'
            ? 'it is a folder'
            : message
    throw new UsageError(`${named} ${path}: ${cause}`)
  }
}

function certificatesIn(text: string, path: string, named: string): X509Certificate[] {
  if (!CERTIFICATE.test(text))
    throw new UsageError(
      `${named} ${path}: holds no "-----BEGIN CERTIFICATE-----"; wants PEM (openssl x509 -inform der -in FILE makes it of DER, openssl pkcs12 -in FILE of PKCS#12)`,
    )
  try {
    return (text.match(BLOCK) ?? ['']).map((block) => new X509Certificate(block))
  } catch {
    throw new UsageError(`${named} ${path}: a certificate in it cannot be read; it may be cut short`)
  }
}

function parseKey(text: string, path: string, named: string): KeyObject {
  if (text.includes('ENCRYPTED'))
    throw new UsageError(`${named} ${path}: the key is locked with a passphrase; give one without (openssl pkey -in FILE -out OPEN)`)
  try {
    return createPrivateKey(text)
  } catch {
    throw new UsageError(`${named} ${path}: holds no private key in PEM ("-----BEGIN PRIVATE KEY-----")`)
  }
}

/**
 * What tells whether files have changed, also when they are replaced by a rename, or when a link above them moves on, as mounted secrets do it:
 * the path is followed to its end each time.
 */
export function stampOf(paths: readonly string[]): string {
  return paths
    .map((path) => {
      try {
        const { dev, ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
        return [dev, ino, size, mtimeNs, ctimeNs].join(':')
      } catch {
        return 'none'
      }
    })
    .join(' ')
}
