/** Where and from what a run was made. */
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { runToEnd } from './peer.ts'
import type { Machine } from './records.ts'

function thisMachine(): Machine {
  const goModule = readFileSync(new URL('load/go.mod', import.meta.url), 'utf8')
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown processor',
    cores: cpus().length,
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    node: process.versions.node,
    loadGenerator: /google\.golang\.org\/(grpc v\S+)/.exec(goModule)?.[1] ?? 'grpc',
  }
}

/** The commit, with a word when the tree differs from it; outside a clone it is unknown. */
async function thisCommit(): Promise<string> {
  const head = await runToEnd('git', ['rev-parse', '--short', 'HEAD']).catch(() => ({ ok: false, output: '' }))
  if (!head.ok) return 'unknown'
  const changed = await runToEnd('git', ['status', '--porcelain', '--', ':!docs/benchmarks*', ':!docs/performance*'])
  return `${head.output.trim()}${changed.output.trim() === '' ? '' : ' with changes'}`
}

/** Asked when a run begins: the tree may change while it lasts. */
export const originOf = async (): Promise<{ readonly at: string; readonly commit: string; readonly machine: Machine }> => ({
  at: new Date().toISOString(),
  commit: await thisCommit(),
  machine: thisMachine(),
})
