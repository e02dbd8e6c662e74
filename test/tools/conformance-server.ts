/**
 * What the Connect conformance runner takes for a server under test: a real server in clear text and a proxy in front of it, of which the runner is
 * told the proxy's address; TLS, when it is asked for, is the proxy's. Run as a program with the server's command as its arguments. The runner writes
 * one ServerCompatRequest to stdin, reads one ServerCompatResponse from stdout, each behind its length in four bytes, and ends it with SIGTERM.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire'
import { startRoutedProxy } from './proxy.ts'

/** Numbers of their fields. */
const REQUEST = { useTls: 4, clientCertificate: 5, credentials: 7 }
const CREDENTIALS = { certificate: 1, key: 2 }
const RESPONSE = { host: 1, port: 2, certificate: 3 }
const LENGTH_BYTES = 4
const SERVER_ANSWERS_WITHIN_MS = 20_000

type Fields = ReadonlyMap<number, Uint8Array | number>

async function main(command: string | undefined, argv: readonly string[]): Promise<void> {
  if (command === undefined) throw new Error('usage: conformance-server.ts SERVER [ARGUMENT...]')
  const request = fieldsOf((await readAll()).subarray(LENGTH_BYTES))
  const server = spawn(command, [...argv], { stdio: ['pipe', 'pipe', 'inherit'] })
  process.once('exit', () => server.kill('SIGKILL'))
  server.stdin.end(delimited(withoutTls(request)))
  const port = fieldsOf(await readMessage(server.stdout)).get(RESPONSE.port)
  if (typeof port !== 'number') throw new Error('the server under test names no port')
  const tls = tlsFiles(request)
  const proxy = await startRoutedProxy(`127.0.0.1:${port}`, ['/connectrpc.conformance.v1.'], ...tls.argv)
  const stop = async (): Promise<void> => {
    await proxy.stop()
    tls.remove()
    process.exit(0)
  }
  process.once('SIGTERM', () => void stop())
  server.once('exit', () => void stop())
  const [host = '', proxyPort = '0'] = proxy.listen.split(':')
  const response = new BinaryWriter().uint32(tagOf(RESPONSE.host, WireType.LengthDelimited)).string(host)
  response.uint32(tagOf(RESPONSE.port, WireType.Varint)).uint32(Number(proxyPort))
  if (tls.certificate !== undefined) response.uint32(tagOf(RESPONSE.certificate, WireType.LengthDelimited)).bytes(tls.certificate)
  process.stdout.write(delimited(response.finish()))
}

async function readAll(): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of process.stdin) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

/** The first message behind its length. */
function readMessage(from: NodeJS.ReadableStream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error('the server under test does not say where it listens')), SERVER_ANSWERS_WITHIN_MS)
    let seen = Buffer.alloc(0)
    from.on('data', (part: Buffer) => {
      seen = Buffer.concat([seen, part])
      if (seen.length < LENGTH_BYTES || seen.length < LENGTH_BYTES + seen.readUInt32BE(0)) return
      clearTimeout(late)
      resolve(seen.subarray(LENGTH_BYTES, LENGTH_BYTES + seen.readUInt32BE(0)))
    })
  })
}

const tagOf = (field: number, type: WireType): number => (field << 3) | type

function delimited(message: Uint8Array): Buffer {
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32BE(message.length)
  return Buffer.concat([length, message])
}

/** Of a message whose fields are numbers and bytes, each once. */
function fieldsOf(message: Uint8Array): Fields {
  const fields = new Map<number, Uint8Array | number>()
  const reader = new BinaryReader(message)
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag()
    if (type === WireType.Varint) fields.set(field, reader.uint32())
    else if (type === WireType.LengthDelimited) fields.set(field, reader.bytes())
    else reader.skip(type, field)
  }
  return fields
}

function withoutTls(request: Fields): Uint8Array {
  const writer = new BinaryWriter()
  for (const [field, value] of request)
    if (typeof value === 'number' && field !== REQUEST.useTls) writer.uint32(tagOf(field, WireType.Varint)).uint32(value)
  return writer.finish()
}

/** What the runner wants the listener to show, and of whom it wants the clients' certificates to be, as the proxy takes it. */
function tlsFiles(request: Fields): { readonly argv: readonly string[]; readonly certificate?: Uint8Array; remove(): void } {
  const given = request.get(REQUEST.credentials)
  if (request.get(REQUEST.useTls) !== 1 || !(given instanceof Uint8Array)) return { argv: [], remove: () => {} }
  const folder = mkdtempSync(join(tmpdir(), 'millrace-conformance-tls-'))
  const pair = fieldsOf(given)
  const file = (name: string, content: Uint8Array | number | undefined): string => {
    const path = join(folder, name)
    if (!(content instanceof Uint8Array)) throw new Error(`the runner gives no ${name}`)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }
  const certificate = pair.get(CREDENTIALS.certificate)
  const argv = ['--tls-cert', file('certificate', certificate), '--tls-key', file('key', pair.get(CREDENTIALS.key))]
  const clients = request.get(REQUEST.clientCertificate)
  if (clients instanceof Uint8Array) argv.push('--tls-client-ca', file('clients', clients))
  return { argv, certificate: certificate as Uint8Array, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

await main(process.argv[2], process.argv.slice(3))
