/** The benchmark's flags. A name that there is not is refused with those that there are. */
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { UsageError } from '../../core/edge/settings.ts'

export type BenchSettings = {
  readonly what: 'compare' | 'memory' | 'profile' | 'everything' | 'page' | 'help'
  readonly which: readonly string[]
  readonly scenarios: readonly string[]
  readonly seconds: number
  readonly rounds: number
  readonly minutes: number
  readonly json: string | undefined
  /** Why docs/ is left as it is; absent when this run may write it. */
  readonly docsLeft: string | undefined
}

/** CPU time comes in ticks of 10 ms: below it a cheap proxy's share is mostly rounding. */
export const SECONDS_TO_PUBLISH = 3
/** Below it a slope is mostly the noise of its ends. */
const MINUTES_TO_PUBLISH = 10
/** What has a target, against whom it has one, once. */
const QUICK = { which: 'millrace,envoy,haproxy,tcp-splice', scenarios: 'real,tls,large,burst,paced,spread,idle', rounds: '1' }
export const PROFILED = 'real,tls,paced,spread'

const seconds = z.coerce.number().min(1).max(600)
const rounds = z.coerce.number().int().min(1).max(100)
const minutes = z.coerce
  .number()
  .min(0.2)
  .max(24 * 60)

export function readBenchSettings(argv: readonly string[], peers: readonly string[], scenarios: readonly string[]): BenchSettings {
  const { values } = parse(argv)
  const what = whatOf(values)
  const quick: Partial<typeof QUICK> = values.quick ? QUICK : {}
  const which = chosen('--which', values.which ?? quick.which, peers)
  const picked = chosen('--scenarios', values.scenarios ?? quick.scenarios ?? (what === 'profile' ? PROFILED : undefined), scenarios)
  const forSeconds = checked('--seconds', values.seconds, seconds)
  const forMinutes = checked('--minutes', values.minutes, minutes)
  const whole = which.length === peers.length && picked.length === scenarios.length
  const comparing = what === 'compare' || what === 'everything'
  const remembering = what === 'memory' || what === 'everything'
  const tooLittle =
    comparing && !whole
      ? 'it is written by a run of all peers and all scenarios'
      : remembering && forMinutes < MINUTES_TO_PUBLISH
        ? `it takes a run of --minutes ${MINUTES_TO_PUBLISH} or more`
        : what !== 'memory' && forSeconds < SECONDS_TO_PUBLISH
          ? `it is written by a run with --seconds ${SECONDS_TO_PUBLISH} or more`
          : undefined
  return {
    what,
    which,
    scenarios: picked,
    seconds: forSeconds,
    rounds: checked('--rounds', values.rounds ?? quick.rounds ?? '3', rounds),
    minutes: forMinutes,
    json: what === 'everything' ? undefined : values.json,
    docsLeft: values['no-docs'] ? '--no-docs' : tooLittle,
  }
}

function whatOf(values: ReturnType<typeof parse>['values']): BenchSettings['what'] {
  if (values.help) return 'help'
  const asked = (['memory', 'profile', 'everything', 'page'] as const).filter((name) => values[name])
  if (asked.length > 1) throw new UsageError(`one of ${asked.map((name) => `--${name}`).join(' and ')} at a time`)
  return asked[0] ?? 'compare'
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        which: { type: 'string' },
        scenarios: { type: 'string' },
        seconds: { type: 'string', default: '3' },
        rounds: { type: 'string' },
        minutes: { type: 'string', default: '10' },
        quick: { type: 'boolean', default: false },
        memory: { type: 'boolean', default: false },
        profile: { type: 'boolean', default: false },
        everything: { type: 'boolean', default: false },
        page: { type: 'boolean', default: false },
        json: { type: 'string' },
        'no-docs': { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
  } catch (error) {
    throw new UsageError(`${(error as Error).message}; --help shows what there is`)
  }
}

function chosen(flag: string, text: string | undefined, all: readonly string[]): readonly string[] {
  if (text === undefined) return all
  const names = text.split(',').filter((name) => name !== '')
  const stranger = names.find((name) => !all.includes(name))
  if (stranger !== undefined || names.length === 0) throw new UsageError(`${flag} ${text}: wants some of ${all.join(',')}`)
  return all.filter((name) => names.includes(name))
}

function checked(flag: string, text: string, schema: z.ZodType<number>): number {
  const read = schema.safeParse(text)
  if (!read.success) throw new UsageError(`${flag} ${text}: ${read.error.issues.map((issue) => issue.message).join('; ')}`)
  return read.data
}
