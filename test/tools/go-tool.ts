/**
 * A program written in Go that the tests need, built once from its pinned module into the user's cache and found there from then on.
 * Two suites that want the same one at once build it once: the second waits for the first.
 */
import { spawn } from 'node:child_process'
import { accessSync, constants, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { cacheFolder, onPath } from '../../cli/nats-server.ts'

const BUILD_MAX_MS = 300_000
const LOCK_POLL_MS = 100

/** `program` is what `go install` calls it, `module` a path with its version, as in `example.com/tool/cmd/tool@v1.2.3`. */
export async function goTool(program: string, module: string): Promise<string> {
  const version = /@(v[\w.+-]+)$/.exec(module)?.[1]
  if (version === undefined) throw new Error(`${module} names no version`)
  const folder = join(cacheFolder(), 'bin')
  const target = join(folder, `${program}-${version}`)
  if (isProgram(target)) return target
  mkdirSync(folder, { recursive: true })
  const release = await lock(`${target}.lock`)
  try {
    if (!isProgram(target)) await build(program, module, target)
    return target
  } finally {
    release()
  }
}

async function build(program: string, module: string, target: string): Promise<void> {
  const go = onPath('go') ?? ['/usr/local/go/bin/go'].find(isProgram)
  if (go === undefined) throw new Error(`${program} is built from ${module}, and there is no Go here: install it (https://go.dev/dl)`)
  // Built aside and renamed: nobody sees half a program, nor another build of it.
  const aside = `${target}.build-${process.pid}`
  rmSync(aside, { recursive: true, force: true })
  try {
    const said: string[] = []
    const child = spawn(go, ['install', module], {
      env: { ...process.env, GOBIN: aside },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: BUILD_MAX_MS,
    })
    child.stderr.on('data', (text: Buffer) => said.push(text.toString()))
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
    })
    if (code !== 0) throw new Error(`go install ${module} failed:\n${said.join('').slice(-2_000)}`)
    renameSync(join(aside, program), target)
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
}

/** One process at a time; the lock of a process that is gone holds nobody. Answers what lets go of it. */
async function lock(path: string): Promise<() => void> {
  const deadline = performance.now() + BUILD_MAX_MS
  for (;;) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      return () => rmSync(path, { force: true })
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
    }
    if (holderIsGone(path)) rmSync(path, { force: true })
    else if (performance.now() > deadline) throw new Error(`${path} is held by another process; remove it if that one does not build`)
    else await wait(LOCK_POLL_MS)
  }
}

function holderIsGone(path: string): boolean {
  let pid = 0
  try {
    pid = Number(readFileSync(path, 'utf8'))
    // Empty for the instant between its creation and its content.
    if (pid === 0) return false
    process.kill(pid, 0)
    return false
  } catch (error) {
    return pid !== 0 && error instanceof Error && 'code' in error && error.code === 'ESRCH'
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
