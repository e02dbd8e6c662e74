/** The configuration of a nats-server for meshes with keys: who may do what, and the server around it. Public keys only. Pure: settings in, text out. */
import { type BusPermissions, controlPlanePermissions, nodePermissions } from '../core/bus-permissions.ts'
import { limits } from '../core/limits.ts'

/** Public keys of one mesh's users. */
export type MeshUsers = { readonly controlPlane: string; readonly nodes: Readonly<Record<string, string>> }

export type ServerSettings = {
  readonly listen: string
  readonly storeDir: string
  readonly tls: { readonly cert: string; readonly key: string; readonly clientCa: string | undefined } | undefined
}

/** When a fleet comes back at once its handshakes wait for one another: longer than a server's own 2 s. */
const HANDSHAKE_SECONDS = 5

export function usersConf(meshes: Readonly<Record<string, MeshUsers>>): string {
  const users = Object.entries(meshes).flatMap(([mesh, { controlPlane, nodes }]) => [
    user(`${mesh}: control planes`, controlPlane, controlPlanePermissions(mesh)),
    ...Object.entries(nodes).map(([node, key]) => user(`${mesh}: node ${node}`, key, nodePermissions(mesh, node))),
  ])
  return [
    '# Written by millrace admin nats-config; run it again rather than edit. Public keys only: the secrets lie in creds/.',
    'authorization {',
    `  timeout: ${HANDSHAKE_SECONDS}`,
    '  users = [',
    ...users,
    '  ]',
    '}',
    '',
  ].join('\n')
}

function user(what: string, key: string, { publish, subscribe, answers }: BusPermissions): string {
  const list = (subjects: readonly string[]): string => `{ allow: [${subjects.map(quote).join(', ')}] }`
  return [
    `    # ${what}`,
    `    { nkey: ${key}, permissions: {`,
    `        publish: ${list(publish)}`,
    `        subscribe: ${list(subscribe)}`,
    ...(answers ? [`        allow_responses: { max: 1, expires: "${limits.busAnswerWithin / 1_000}s" }`] : []),
    '    } }',
  ].join('\n')
}

export function serverConf({ listen, storeDir, tls }: ServerSettings, usersFile: string): string {
  return [
    '# Written by millrace admin nats-config, and left alone by later runs unless they name a setting of the server.',
    `listen: ${quote(listen)}`,
    '# Drains are kept here.',
    `jetstream { store_dir: ${quote(storeDir)} }`,
    ...(tls === undefined ? [] : tlsBlock(tls)),
    `include ${quote(usersFile)}`,
    '',
  ].join('\n')
}

const tlsBlock = ({ cert, key, clientCa }: NonNullable<ServerSettings['tls']>): string[] => [
  'tls {',
  `  cert_file: ${quote(cert)}`,
  `  key_file: ${quote(key)}`,
  ...(clientCa === undefined ? [] : [`  ca_file: ${quote(clientCa)}`, '  verify: true']),
  `  timeout: ${HANDSHAKE_SECONDS}`,
  '}',
]

const quote = (text: string): string => JSON.stringify(text)
