/** Authorities and certificates for tests, made with the openssl program when a test starts: no key is ever kept. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export type Certificate = { readonly certFile: string; readonly keyFile: string; readonly cert: Buffer; readonly key: Buffer }

export type LeafOptions = {
  /** As openssl writes them: `DNS:localhost,IP:127.0.0.1,URI:spiffe://mesh/proxy`. */
  readonly names: string
  /** Less than 0: has expired. */
  readonly days?: number
}

const AT_HOME = 'DNS:localhost,IP:127.0.0.1'

function openssl(...argv: readonly string[]): void {
  try {
    execFileSync('openssl', [...argv], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    throw new Error('the tests of TLS make their certificates with the openssl program, and there is none: apt-get install openssl')
  }
}

const elliptic = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'] as const

/** A folder of certificates. One authority signs what `issue` makes; `stranger` is another that nobody here trusts. */
export class CertificateFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'millrace-certificates-'))
  #made = 0

  authority(name = 'ca'): Certificate {
    const [certFile, keyFile] = [this.file(`${name}.crt`), this.file(`${name}.key`)]
    const use = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign']
    openssl('req', '-x509', ...elliptic, '-days', '30', '-subj', `/CN=${name}`, ...use, '-keyout', keyFile, '-out', certFile)
    return readPair(certFile, keyFile)
  }

  issue(authority: Certificate, { names, days = 30 }: Partial<LeafOptions> = {}): Certificate {
    const id = `leaf-${++this.#made}`
    const [certFile, keyFile, request, extensions] = [`${id}.crt`, `${id}.key`, `${id}.csr`, `${id}.ext`].map((one) => this.file(one)) as [
      string,
      string,
      string,
      string,
    ]
    writeFileSync(extensions, `subjectAltName=${names ?? AT_HOME}\nbasicConstraints=CA:FALSE\n`)
    openssl('req', '-new', ...elliptic, '-subj', `/CN=${id}`, '-keyout', keyFile, '-out', request)
    const signer = ['-CA', authority.certFile, '-CAkey', authority.keyFile, '-set_serial', String(Date.now() * 100 + this.#made)]
    openssl('x509', '-req', '-in', request, ...signer, '-days', String(days), '-extfile', extensions, '-out', certFile)
    return readPair(certFile, keyFile)
  }

  file(name: string): string {
    return join(this.path, name)
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

const readPair = (certFile: string, keyFile: string): Certificate => ({
  certFile,
  keyFile,
  cert: readFileSync(certFile),
  key: readFileSync(keyFile),
})
