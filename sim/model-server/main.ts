/** Wires the simulated model server into a process. */
import { createLog } from '../../core/edge/log.ts'
import { ProcessLife } from '../../core/edge/process-life.ts'
import { announceReady } from '../../core/edge/ready-line.ts'
import { millis } from '../../core/units.ts'
import { readSimServerSettings } from './config.ts'
import { serveSim } from './serve.ts'

export async function main(argv: readonly string[]): Promise<void> {
  const settings = readSimServerSettings(argv)
  const log = createLog('sim-server', settings.logLevel)
  const life = new ProcessLife(log)
  life.obeySignals()
  const server = await serveSim({
    listen: settings.listen,
    httpListen: settings.httpListen,
    models: settings.models,
    rules: {
      slots: settings.slots,
      queueMax: settings.queueMax,
      prefill: millis(settings.prefillMs),
      token: millis(settings.tokenMs),
      jitter: settings.jitter,
      factor: 1,
    },
    behaviour: { mode: settings.behave, afterTokens: settings.afterTokens, factor: settings.factor },
    seed: settings.seed,
    // As a machine that loses power: nobody is told.
    die: () => process.kill(process.pid, 'SIGKILL'),
  })
  life.onStop('server', () => server.close())
  log.info({ models: settings.models, slots: settings.slots, simulated: true }, 'sim.serving')
  announceReady('sim-server', { listen: server.listen, http: server.http, simulated: 'true' })
}
