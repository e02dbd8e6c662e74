/** The flags of `npm run scale`. */
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { UsageError } from '../../core/edge/settings.ts'
import type { Spans } from './measure.ts'
import { TABLES, type TableName } from './plans.ts'

export type ScaleSettings = {
  readonly what: 'measure' | 'profile' | 'page' | 'help'
  readonly tables: readonly (TableName | 'latency')[]
  readonly quick: boolean
  readonly spans: Spans
  readonly json: string | undefined
  /** Why docs/ is left as it is; absent when this run may write it. */
  readonly docsLeft: string | undefined
}

export const PARTS = [...TABLES, 'latency'] as const
/** CPU time comes in ticks of 10 ms: below it the smallest loads are mostly rounding. */
const SECONDS_TO_PUBLISH = 8

const seconds = z.coerce.number().min(1).max(600)

export function readScaleSettings(argv: readonly string[]): ScaleSettings {
  const { values } = parse(argv)
  const tables = (values.tables?.split(',') ?? [...PARTS]).map((name) => {
    const found = PARTS.find((one) => one === name)
    if (found === undefined) throw new UsageError(`--tables ${name}: wants some of ${PARTS.join(',')}`)
    return found
  })
  const measured = seconds.safeParse(values.seconds)
  if (!measured.success) throw new UsageError(`--seconds ${values.seconds}: wants 1 to 600`)
  const asked = (['help', 'page', 'profile'] as const).filter((name) => values[name])
  if (asked.length > 1) throw new UsageError(`one of ${asked.map((name) => `--${name}`).join(' and ')} at a time`)
  return {
    what: asked[0] ?? 'measure',
    tables,
    quick: values.quick,
    spans: { warmSeconds: values.quick ? 2 : 4, seconds: values.quick ? 4 : measured.data },
    json: values.json,
    docsLeft: values['no-docs']
      ? '--no-docs'
      : values.quick || tables.length < PARTS.length
        ? 'it is written by a run of all tables'
        : measured.data < SECONDS_TO_PUBLISH
          ? `it is written by a run with --seconds ${SECONDS_TO_PUBLISH} or more`
          : undefined,
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        tables: { type: 'string' },
        seconds: { type: 'string', default: String(SECONDS_TO_PUBLISH) },
        quick: { type: 'boolean', default: false },
        profile: { type: 'boolean', default: false },
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
