/** The settings of `millrace sim-server`. */
import { z } from 'zod'
import { hostPort, logLevel, readSettings, wholeNumber } from '../../core/edge/settings.ts'
import { AFTER_TOKENS, MODE_MEANINGS, MODES, SLOW_FACTOR } from './behaviour.ts'

/** By commas, or the flag again, or a list in a file. */
const names = z.union([z.string(), z.array(z.string())]).transform((given, context) => {
  const found = [...new Set([given].flat().flatMap((text) => text.split(',').map((name) => name.trim())))].filter((name) => name !== '')
  if (found.length === 0) context.addIssue({ code: 'custom', message: 'wants model names, for example sim_llm,other' })
  return found
})
const span = z.coerce.number().min(0).max(3_600_000)

export const readSimServerSettings = (argv: readonly string[]) =>
  readSettings(
    {
      name: 'sim-server',
      about: `A simulated model server that speaks KServe v2 over gRPC, with a real queue.\n\nModes of --behave and of POST /sim/behave:\n${MODES.map(
        (mode) => `  ${mode.padEnd(11)}${MODE_MEANINGS[mode]}`,
      ).join('\n')}`,
      example: 'millrace sim-server --listen 127.0.0.1:8001 --http-listen 127.0.0.1:8000 --slots 8',
      settings: {
        listen: { value: 'host:port', about: 'gRPC', schema: hostPort, fallback: '127.0.0.1:0' },
        httpListen: { value: 'host:port', about: 'health, metrics and the switches', schema: hostPort, fallback: '127.0.0.1:0' },
        models: { value: 'names', about: 'models that it serves, by commas', schema: names, fallback: ['sim_llm'] },
        slots: { value: 'n', about: 'requests that run at once', schema: wholeNumber(1, 1_000_000), fallback: 4 },
        queueMax: { value: 'n', about: 'requests that wait; one more is refused', schema: wholeNumber(0, 1_000_000), fallback: 100 },
        prefillMs: { value: 'ms', about: 'time to the first token', schema: span, fallback: 20 },
        tokenMs: { value: 'ms', about: 'time between tokens', schema: span, fallback: 10 },
        jitter: { value: '0..1', about: 'how far each of these times strays', schema: z.coerce.number().min(0).max(1), fallback: 0.1 },
        seed: { value: 'n', about: 'of the jitter', schema: wholeNumber(0, 4_294_967_295), fallback: 1 },
        behave: { value: 'mode', about: 'misbehaves from the start, as above', schema: z.enum(MODES), fallback: 'normal' as const },
        afterTokens: { value: 'n', about: 'of --behave', schema: wholeNumber(0, 1_000_000), fallback: AFTER_TOKENS },
        factor: { value: 'x', about: 'of --behave slow', schema: z.coerce.number().min(0.001).max(10_000), fallback: SLOW_FACTOR },
        logLevel: { value: 'level', about: 'least level that is logged', schema: logLevel, fallback: 'info' as const },
      },
    },
    argv,
  )
