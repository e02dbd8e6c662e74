/**
 * The agent on its own small engine: V8's lite mode takes a quarter less memory, and a program that looks at a host twice a second has no use for more.
 * Such a mode is chosen when Node starts, so the process replaces itself once, under the same pid.
 */
import { fileURLToPath } from 'node:url'

const LEAN = '--lite-mode'

export type Started = {
  readonly execPath: string
  readonly execArgv: readonly string[]
  readonly argv: readonly string[]
  readonly file: string
}

/** The command to become; undefined when it runs so already, or as TypeScript, whose stripping needs what lite mode leaves out. */
export function leanCommand({ execPath, execArgv, argv, file }: Started): readonly string[] | undefined {
  if (execArgv.includes(LEAN) || !file.endsWith('.js')) return undefined
  return [execPath, LEAN, ...execArgv, ...argv.slice(1)]
}

export async function main(argv: readonly string[]): Promise<void> {
  const command = leanCommand({ ...process, file: fileURLToPath(import.meta.url) })
  // Not on every system.
  if (command !== undefined && process.execve !== undefined) process.execve(process.execPath, command, process.env)
  await (await import('../agents/main.ts')).main(argv)
}
