/**
 * The users of a bus on disk: `users.json` with public keys, and below `creds/` a file with the secret of each, for its owner only. A key that is there
 * stays; a secret that was moved to its host is not missed.
 */
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { nkeys } from 'nats'
import { z } from 'zod'
import { UsageError } from '../core/edge/settings.ts'
import type { MeshUsers } from './nats-conf-text.ts'

const publicKey = z.string().regex(/^U[A-Z2-7]{55}$/, 'wants the public key of a NATS user')
const usersFile = z.object({
  meshes: z.record(z.string(), z.object({ controlPlane: publicKey, nodes: z.record(z.string(), publicKey) })),
})

export type Meshes = Readonly<Record<string, MeshUsers>>
export type Users = { readonly meshes: Meshes; readonly added: readonly string[]; readonly revoked: readonly string[] }

export const controlPlaneCreds = (folder: string, mesh: string): string => join(folder, 'creds', mesh, 'control-plane.nk')
export const nodeCreds = (folder: string, mesh: string, node: string): string => join(folder, 'creds', mesh, 'nodes', `${node}.nk`)

/** Revokes first: a node that is named in both lists gets a new key. */
export function changeUsers(folder: string, mesh: string, nodes: readonly string[], revoke: readonly string[]): Users {
  const meshes = readMeshes(folder)
  const before = meshes[mesh]
  const kept = { ...before?.nodes }
  for (const node of revoke) {
    if (!Object.hasOwn(kept, node)) throw new UsageError(`--revoke ${node}: mesh ${mesh} has no such node${listed(Object.keys(kept))}`)
    delete kept[node]
    rmSync(nodeCreds(folder, mesh, node), { force: true })
  }
  const controlPlane = before?.controlPlane ?? newKey(controlPlaneCreds(folder, mesh))
  const added = [...new Set(nodes)].filter((node) => !Object.hasOwn(kept, node))
  for (const node of added) kept[node] = newKey(nodeCreds(folder, mesh, node))
  const changed = { ...meshes, [mesh]: { controlPlane, nodes: sorted(kept) } }
  writeWhole(join(folder, 'users.json'), `${JSON.stringify({ meshes: sorted(changed) }, undefined, 2)}\n`)
  return { meshes: sorted(changed), added, revoked: revoke }
}

const listed = (names: readonly string[]): string => (names.length === 0 ? '' : `; there are ${names.slice(0, 20).join(', ')}`)

const sorted = <T>(record: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))

function readMeshes(folder: string): Meshes {
  const path = join(folder, 'users.json')
  if (!existsSync(path)) return {}
  try {
    return usersFile.parse(JSON.parse(readFileSync(path, 'utf8'))).meshes
  } catch (error) {
    const why =
      error instanceof z.ZodError ? error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ') : String(error)
    throw new UsageError(`${path}: ${why}; mend it, or name another --out and give every host a new key`)
  }
}

/** The public half. A secret that is there already, of a run that did not end, is taken. */
function newKey(path: string): string {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  if (existsSync(path)) return nkeys.fromSeed(new TextEncoder().encode(readFileSync(path, 'utf8').trim())).getPublicKey()
  const pair = nkeys.createUser()
  writeFileSync(path, `${new TextDecoder().decode(pair.getSeed())}\n`, { mode: 0o600, flag: 'wx' })
  return pair.getPublicKey()
}

/** A nats-server that reads meanwhile sees the old or the new. */
export function writeWhole(path: string, text: string): void {
  const aside = `${path}.new`
  writeFileSync(aside, text)
  chmodSync(aside, 0o644)
  renameSync(aside, path)
}
