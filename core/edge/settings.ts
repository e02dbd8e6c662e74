/**
 * Reads the settings of a verb: a flag wins over its MILLRACE_* variable, that over the file given by --config, that over the default.
 * Each value is checked by its schema, and an error names the source of the bad value and what would be right.
 */
import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { type ZodType, z } from 'zod'
import { type KnownFields, type PlacedFile, readPlaced } from './placed-file.ts'
import { UsageError } from './usage-error.ts'

export { UsageError } from './usage-error.ts'

export type Setting<T> = {
  /** The value's name in the help, as in `--listen <host:port>`; absent for a switch. */
  readonly value?: string
  readonly about: string
  readonly schema: ZodType<T>
  readonly fallback?: T
  /** Set for what has a form of its own and is written in the --config file only: the fields that it knows, for the complaint about another. */
  readonly onlyInFile?: KnownFields
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
  const path = flags.config ?? environment.MILLRACE_CONFIG
  const file = typeof path === 'string' ? readFile(path, verb) : undefined
  const result: Record<string, unknown> = {}
  for (const [name, spec] of Object.entries(verb.settings)) {
    const given = spec.onlyInFile === undefined ? fromCaller(name, flags, environment) : undefined
    const raw = given?.raw ?? file?.values[kebab(name)]
    if (raw === undefined) {
      result[name] = spec.fallback
      continue
    }
    const read = spec.schema.safeParse(raw)
    if (!read.success) throw new UsageError(complaint(given, file?.placed, name, spec, read.error.issues))
    result[name] = read.data
  }
  return result as Settings<Specs>
}

type Given = { readonly source: string; readonly raw: unknown }

function fromCaller(name: string, flags: Record<string, unknown>, environment: NodeJS.ProcessEnv): Given | undefined {
  if (flags[name] !== undefined) return { source: `--${kebab(name)}`, raw: flags[name] }
  const value = environment[variable(name)]
  return value === undefined ? undefined : { source: variable(name), raw: value }
}

function complaint(
  given: Given | undefined,
  placed: PlacedFile | undefined,
  name: string,
  spec: Setting<unknown>,
  issues: readonly z.core.$ZodIssue[],
): string {
  const [first] = issues
  if (given === undefined && placed !== undefined && first !== undefined)
    return `--config ${placed.complaint({ ...first, path: [kebab(name), ...first.path] }, spec.onlyInFile)}`
  return `${given?.source} ${JSON.stringify(given?.raw)}: ${issues.map((issue) => issue.message).join('; ')}`
}

function describe(verb: Verb<Record<string, Setting<unknown>>>): Command {
  const command = new Command(`millrace ${verb.name}`)
    .description(verb.about)
    .addHelpText('after', `\nExample:\n  ${verb.example}\n`)
    .allowExcessArguments(false)
  for (const [name, spec] of Object.entries(verb.settings)) {
    if (spec.onlyInFile !== undefined) continue
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

type ReadFile = { readonly placed: PlacedFile; readonly values: Readonly<Record<string, unknown>> }

function readFile(path: string, verb: Verb<Record<string, Setting<unknown>>>): ReadFile {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`--config ${path}: ${(error as Error).message}`)
  }
  const placed = readPlaced(text, path)
  const read = z.record(z.string(), z.unknown()).safeParse(placed.value ?? {})
  if (!read.success) throw new UsageError(`--config ${path}: wants names and values, for example "listen: 127.0.0.1:7400"`)
  const known = Object.keys(verb.settings).map(kebab)
  const stranger = Object.keys(read.data).find((name) => !known.includes(name))
  if (stranger !== undefined)
    throw new UsageError(`--config ${path}:${placed.lineOf([stranger])}: no setting "${stranger}"; there are ${known.join(', ')}`)
  return { placed, values: read.data }
}

/** What may stand in the verb's --config file, as a JSON schema for editors and checks. Rules that JSON schema cannot tell are left out. */
export function settingsSchema(verb: Pick<Verb<Record<string, Setting<unknown>>>, 'name' | 'settings'>): object {
  const properties = Object.fromEntries(
    Object.entries(verb.settings).map(([name, { schema, about, fallback }]) => {
      const { $schema: _, ...form } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' })
      return [kebab(name), { ...form, description: about, ...(fallback !== undefined && { default: fallback }) }]
    }),
  )
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `millrace ${verb.name}`,
    type: 'object',
    additionalProperties: false,
    properties,
  }
}
