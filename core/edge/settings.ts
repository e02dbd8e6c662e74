/**
 * Reads the settings of a verb: a flag wins over its MILLRACE_* variable, that over the file given by --config, that over the default.
 * Each value is checked by its schema, and an error names the source of the bad value and what would be right.
 */
import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { parse as parseYaml } from 'yaml'
import { type ZodType, z } from 'zod'

export type Setting<T> = {
  /** The value's name in the help, as in `--listen <host:port>`; absent for a switch. */
  readonly value?: string
  readonly about: string
  readonly schema: ZodType<T>
  readonly fallback?: T
}

export type Settings<Specs extends Record<string, Setting<unknown>>> = {
  readonly [K in keyof Specs]: Specs[K] extends { readonly fallback: infer _F; readonly schema: ZodType<infer T> }
    ? T
    : Specs[K] extends { readonly schema: ZodType<infer T> }
      ? T | undefined
      : never
}

export type Verb<Specs extends Record<string, Setting<unknown>>> = {
  readonly name: string
  readonly about: string
  readonly example: string
  readonly settings: Specs
}

/** Thrown with one line that names the cause and the cure; the CLI prints it and exits with 64. */
export class UsageError extends Error {}

/** `host:port` or `[v6]:port`; port 0 takes a free one. */
export const hostPort = z
  .string()
  .regex(/^(\[[0-9a-fA-F:]+\]|[^:\s]+):\d{1,5}$/, 'wants host:port, for example 127.0.0.1:7400')
  .refine((text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535, 'wants a port up to 65535')

export const wholeNumber = (least: number, most: number) => z.coerce.number().int().min(least).max(most)
export const flag = z.preprocess(
  (value) => (value === 'true' || value === '1' ? true : value === 'false' || value === '0' ? false : value),
  z.boolean(),
)
export const logLevel = z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
const variable = (name: string): string => `MILLRACE_${kebab(name).replaceAll('-', '_').toUpperCase()}`

export function readSettings<Specs extends Record<string, Setting<unknown>>>(
  verb: Verb<Specs>,
  argv: readonly string[],
  environment: NodeJS.ProcessEnv = process.env,
): Settings<Specs> {
  const command = describe(verb)
  command.parse([...argv], { from: 'user' })
  const flags: Record<string, unknown> = command.opts()
  const file = readFile(flags.config ?? environment.MILLRACE_CONFIG, verb)
  const result: Record<string, unknown> = {}
  for (const [name, spec] of Object.entries(verb.settings)) {
    const [source, raw] =
      flags[name] !== undefined
        ? [`--${kebab(name)}`, flags[name]]
        : environment[variable(name)] !== undefined
          ? [variable(name), environment[variable(name)]]
          : [`${kebab(name)} in the --config file`, file[kebab(name)]]
    if (raw === undefined) {
      result[name] = spec.fallback
      continue
    }
    const read = spec.schema.safeParse(raw)
    if (!read.success)
      throw new UsageError(`${source} ${JSON.stringify(raw)}: ${read.error.issues.map((issue) => issue.message).join('; ')}`)
    result[name] = read.data
  }
  return result as Settings<Specs>
}

function describe(verb: Verb<Record<string, Setting<unknown>>>): Command {
  const command = new Command(`millrace ${verb.name}`)
    .description(verb.about)
    .addHelpText('after', `\nExample:\n  ${verb.example}\n`)
    .allowExcessArguments(false)
  for (const [name, spec] of Object.entries(verb.settings)) {
    const shown = spec.fallback === undefined || String(spec.fallback) === '' ? '' : ` (default: ${String(spec.fallback)})`
    const option = new Option(
      `--${kebab(name)}${spec.value === undefined ? '' : ` <${spec.value}>`}`,
      `${spec.about}${shown} [${variable(name)}]`,
    )
    command.addOption(Array.isArray(spec.fallback) ? option.argParser((value: string, all: string[] = []) => [...all, value]) : option)
  }
  command.addOption(new Option('--config <file>', 'YAML or JSON file with these settings by their long names [MILLRACE_CONFIG]'))
  return command
}

function readFile(path: unknown, verb: Verb<Record<string, Setting<unknown>>>): Record<string, unknown> {
  if (typeof path !== 'string') return {}
  let file: unknown
  try {
    file = parseYaml(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new UsageError(`--config ${path}: ${(error as Error).message}`)
  }
  const read = z.record(z.string(), z.unknown()).safeParse(file ?? {})
  if (!read.success) throw new UsageError(`--config ${path}: wants names and values, for example "listen: 127.0.0.1:7400"`)
  const known = Object.keys(verb.settings).map(kebab)
  const stranger = Object.keys(read.data).find((name) => !known.includes(name))
  if (stranger !== undefined) throw new UsageError(`--config ${path}: no setting "${stranger}"; there are ${known.join(', ')}`)
  return read.data
}
