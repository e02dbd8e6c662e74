/**
 * `millrace admin nats-config`: writes what a nats-server needs so that each host speaks as itself only, and a key file for each part. Run again it adds
 * nodes, keeps every key that is there, and takes away who is revoked. Secrets go into files of their own, never to the terminal.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { hostPort, readSettings, UsageError } from '../core/edge/settings.ts'
import { isMeshName, isNodeId } from '../core/ids.ts'
import { type ServerSettings, serverConf, usersConf } from './nats-conf-text.ts'
import { changeUsers, controlPlaneCreds, nodeCreds, type Users, writeWhole } from './nats-users.ts'

const names = z
  .string()
  .transform((text) => text.split(/[\s,]+/).filter((name) => name !== ''))
  .pipe(z.array(z.string().refine(isNodeId, 'wants names of nodes (letters, digits, _ and -) with commas between')).min(1))
const file = z.string().min(1, 'wants a path')

const LISTEN_OPEN = '0.0.0.0:4222'
const LISTEN_CLEAR = '127.0.0.1:4222'
const NAMED_MAX = 20

const readNatsSettings = (argv: readonly string[]) =>
  readSettings(
    {
      name: 'admin nats-config',
      about:
        'Writes a nats-server configuration in which a node may speak as itself only and durable state belongs to control planes, and a key file for each part.\n' +
        'Run it again with more nodes: keys that are there stay.',
      example:
        'millrace admin nats-config --out /etc/millrace/bus --nodes gpu-a,gpu-b --tls-cert /etc/millrace/nats.crt --tls-key /etc/millrace/nats.key',
      settings: {
        out: { value: 'folder', about: 'where everything is written', schema: file },
        nodes: { value: 'names', about: 'nodes that get a key, with commas between', schema: names },
        nodesFile: { value: 'file', about: 'the same, one a line; # begins a comment', schema: file },
        revoke: { value: 'names', about: 'nodes that are let in no more; named by --nodes too, they get a new key', schema: names },
        mesh: {
          value: 'name',
          about: 'the mesh of these nodes; several can share one bus',
          schema: z.string().refine(isMeshName, 'wants small letters, digits and -'),
          fallback: 'default',
        },
        listen: {
          value: 'host:port',
          about: `where nats-server listens (default: ${LISTEN_OPEN} with TLS, ${LISTEN_CLEAR} without)`,
          schema: hostPort,
        },
        storeDir: { value: 'folder', about: 'where nats-server keeps drains (default: jetstream in --out)', schema: file },
        tlsCert: { value: 'file', about: 'the certificate of nats-server', schema: file },
        tlsKey: { value: 'file', about: 'its key', schema: file },
        tlsCa: { value: 'file', about: 'asks every part for a certificate that one of these authorities signed', schema: file },
      },
    },
    argv,
  )

type Read = ReturnType<typeof readNatsSettings>

export async function main(argv: readonly string[]): Promise<void> {
  const read = readNatsSettings(argv)
  if (read.out === undefined) throw new UsageError('wants --out FOLDER, for example --out /etc/millrace/bus')
  if ((read.tlsCert === undefined) !== (read.tlsKey === undefined)) throw new UsageError('--tls-cert and --tls-key go together')
  if (read.tlsCa !== undefined && read.tlsCert === undefined)
    throw new UsageError('--tls-ca asks parts for certificates: it needs --tls-cert and --tls-key too')
  const folder = resolve(read.out)
  const nodes = [...(read.nodes ?? []), ...(read.nodesFile === undefined ? [] : readNodesFile(read.nodesFile))]
  mkdirSync(folder, { recursive: true })
  const users = changeUsers(folder, read.mesh, nodes, read.revoke ?? [])
  writeWhole(join(folder, 'users.conf'), usersConf(users.meshes))
  const server = join(folder, 'nats-server.conf')
  const [first, named] = [!existsSync(server), [read.listen, read.storeDir, read.tlsCert].some((one) => one !== undefined)]
  if (first || named) writeWhole(server, serverConf(serverSettings(read, folder), 'users.conf'))
  process.stdout.write(report(folder, read.mesh, users, first))
}

function readNodesFile(path: string): string[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`--nodes-file ${path} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  return text.split('\n').flatMap((line, at) => {
    const name = line.replace(/#.*/, '').trim()
    if (name !== '' && !isNodeId(name)) throw new UsageError(`--nodes-file ${path}:${at + 1}: "${name}" is no name of a node`)
    return name === '' ? [] : [name]
  })
}

function serverSettings({ listen, storeDir, tlsCert, tlsKey, tlsCa }: Read, folder: string): ServerSettings {
  const tls =
    tlsCert === undefined || tlsKey === undefined
      ? undefined
      : { cert: resolve(tlsCert), key: resolve(tlsKey), clientCa: tlsCa === undefined ? undefined : resolve(tlsCa) }
  return {
    listen: listen ?? (tls === undefined ? LISTEN_CLEAR : LISTEN_OPEN),
    storeDir: resolve(storeDir ?? join(folder, 'jetstream')),
    tls,
  }
}

function report(folder: string, mesh: string, { meshes, added, revoked }: Users, first: boolean): string {
  const list = (nodes: readonly string[], line: (node: string) => string): string[] => [
    ...nodes.slice(0, NAMED_MAX).map(line),
    ...(nodes.length > NAMED_MAX ? [`  … and ${nodes.length - NAMED_MAX} more`] : []),
  ]
  const conf = join(folder, 'nats-server.conf')
  return [
    `mesh ${mesh}: ${Object.keys(meshes[mesh]?.nodes ?? {}).length} nodes may use the bus`,
    ...list(revoked, (node) => `  revoked ${node}`),
    ...list(added, (node) => `  new key ${nodeCreds(folder, mesh, node)}`),
    first ? `start:  nats-server -c ${conf}` : `have nats-server read it: nats-server --signal reload, or start it: nats-server -c ${conf}`,
    `then:   millrace control-plane --nats HOST:4222 --nats-creds ${controlPlaneCreds(folder, mesh)}`,
    `        millrace agent --node NODE --nats HOST:4222 --nats-creds NODE.nk    (with --nats-tls-ca FILE where NATS has TLS)`,
    'A key file is a secret: bring each to its host only. It may then be removed here; a later run needs users.json alone.',
    '',
  ].join('\n')
}
