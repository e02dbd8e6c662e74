import { type Logger, pino } from 'pino'

export type { Logger } from 'pino'

/** A line is an event name and fields: `log.warn({ node, silentMs }, 'node.silent')`. No prompt and no secret is ever a field. */
export const createLog = (part: string, level: string): Logger =>
  pino({ level, base: { part } }, pino.destination({ dest: 2, sync: false }))
