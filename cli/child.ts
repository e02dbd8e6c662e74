/**
 * A child process as its parent sees it: the lines that it prints, a bounded tail of them, and its end. A child leads its own process group, so that
 * Ctrl-C in a terminal reaches the parent alone and the parent decides the order of the end; no child outlives the parent's exit.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseReadyLine } from '../core/edge/ready-line.ts'
import { CommandFailure } from './command-failure.ts'

/** Of each output the newest lines are kept: what a process said last is what explains its end. */
const LINES_KEPT_MAX = 2_000
const LINE_LENGTH_MAX = 64 * 1024
const STOP_PATIENCE_MS = 10_000

export type Child = {
  readonly name: string
  readonly pid: number
  readonly stdout: readonly string[]
  readonly stderr: readonly string[]
  /** Undefined when a signal ended it. */
  readonly exited: Promise<number | null>
  hasExited(): boolean
  /** The first line of either output, past ones included, that fits; rejects with the last stderr lines when the child ends or the time is over. */
  waitForLine(pattern: RegExp, deadlineMs: number): Promise<string>
  /** SIGTERM, and SIGKILL for one that does not obey. */
  stop(): Promise<number | null>
  kill(): void
}

export type ChildOptions = {
  readonly env?: Readonly<Record<string, string | undefined>>
  /** A verb of ours stops when this channel closes, also when the parent was killed. */
  readonly channel?: boolean
}

const live = new Set<ChildProcess>()
let guarded = false

function guardExit(): void {
  if (guarded) return
  guarded = true
  process.on('exit', () => {
    for (const one of live) one.kill('SIGKILL')
  })
}

export const lastLines = (lines: readonly string[], count = 8): string =>
  lines
    .slice(-count)
    .map((line) => `    ${line}`)
    .join('\n')

export async function startChild(name: string, command: string, argv: readonly string[], options: ChildOptions = {}): Promise<Child> {
  guardExit()
  const process_ = spawn(command, [...argv], {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', ...(options.channel === true ? (['ipc'] as const) : [])],
    detached: true,
  })
  await new Promise<void>((resolve, reject) => {
    process_.once('spawn', resolve)
    process_.once('error', reject)
  })
  live.add(process_)
  const listeners = new Set<(line: string) => void>()
  const stdout = collectLines(process_.stdout, listeners)
  const stderr = collectLines(process_.stderr, listeners)
  let over = false
  const exited = new Promise<number | null>((resolve) => {
    process_.once('close', (code) => {
      over = true
      live.delete(process_)
      resolve(code)
    })
  })
  return {
    name,
    pid: process_.pid ?? -1,
    stdout,
    stderr,
    exited,
    hasExited: () => over,
    waitForLine(pattern, deadlineMs) {
      const seen = [...stdout, ...stderr].find((line) => pattern.test(line))
      if (seen !== undefined) return Promise.resolve(seen)
      return new Promise((resolve, reject) => {
        const settle = (act: () => void): void => {
          clearTimeout(timer)
          listeners.delete(onLine)
          act()
        }
        const fail = (what: string): void =>
          settle(() => reject(new CommandFailure(`${name} ${what}; it said last:\n${lastLines(stderr)}`)))
        const onLine = (line: string): void => {
          if (pattern.test(line)) settle(() => resolve(line))
        }
        const timer = setTimeout(() => fail(`printed no line like ${pattern} within ${deadlineMs} ms`), deadlineMs)
        listeners.add(onLine)
        void exited.then((code) => fail(`ended with ${code ?? 'a signal'}`))
      })
    },
    async stop() {
      if (!over) process_.kill('SIGTERM')
      const impatience = setTimeout(() => process_.kill('SIGKILL'), STOP_PATIENCE_MS)
      try {
        return await exited
      } finally {
        clearTimeout(impatience)
      }
    },
    kill: () => void process_.kill('SIGKILL'),
  }
}

function collectLines(output: NodeJS.ReadableStream | null, listeners: ReadonlySet<(line: string) => void>): string[] {
  const lines: string[] = []
  let rest = ''
  output?.setEncoding('utf8')
  output?.on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = (parts.pop() ?? '').slice(0, LINE_LENGTH_MAX)
    for (const line of parts) {
      lines.push(line)
      if (lines.length > LINES_KEPT_MAX) lines.shift()
      for (const listener of [...listeners]) listener(line)
    }
  })
  return lines
}

export type Part = Child & {
  /** Of its ready line, for example `listen`. */
  readonly fields: Readonly<Record<string, string>>
}

/** The CLI's main file, in a clone (.ts) and in the package (.js) alike. */
export const mainFile = fileURLToPath(new URL(import.meta.filename.endsWith('.ts') ? './main.ts' : './main.js', import.meta.url))

/** One verb of `millrace` as a child of this process, not yet ready. */
export const startVerb = (name: string, verb: string, argv: readonly string[], env: ChildOptions['env'] = {}): Promise<Child> =>
  startChild(name, process.execPath, [mainFile, verb, ...argv], { env, channel: true })

/** A long-running verb, once it has printed its ready line. */
export async function startPart(
  name: string,
  verb: string,
  argv: readonly string[],
  env: ChildOptions['env'] = {},
  deadlineMs = 20_000,
): Promise<Part> {
  const child = await startVerb(name, verb, argv, env)
  try {
    const line = await child.waitForLine(/^ready /, deadlineMs)
    return { ...child, fields: parseReadyLine(line)?.fields ?? {} }
  } catch (error) {
    child.kill()
    throw error
  }
}
