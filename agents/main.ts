/** Wires an agent: what looks, what decides, what tells. */
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { createLog } from '../core/edge/log.ts'
import { Counter, Gauge, type Health, newRegistry, serveMetrics } from '../core/edge/metrics.ts'
import { connectNats, type NatsLink } from '../core/edge/nats-link.ts'
import { natsMetrics } from '../core/edge/nats-metrics.ts'
import { ProcessLife } from '../core/edge/process-life.ts'
import { announceReady } from '../core/edge/ready-line.ts'
import { systemClock } from '../core/edge/system-clock.ts'
import { limits } from '../core/limits.ts'
import { nodeInbox, rollCall, telemetrySubject } from '../core/subjects.ts'
import { millis } from '../core/units.ts'
import manifest from '../package.json' with { type: 'json' }
import { gpuTelemetryToJSON } from '../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { configSchema, readConfig } from './config.ts'
import { SampleLoop } from './sample-loop.ts'
import { faultMemory } from './wire/fault-memory.ts'
import { openSensors, type Sensors } from './wire/open-sensors.ts'
import { reportPublisher } from './wire/publish-report.ts'
import { hostReader } from './wire/read-host.ts'
import { RollCalls } from './wire/roll-calls.ts'
import { serverMetrics } from './wire/server-metrics.ts'
import { Commands } from './wire/take-commands.ts'
import type { ServerWatches } from './wire/watch-servers.ts'

const WELL: Health = { ok: true, detail: 'ok' }
const FIRST_LOOK_POLL = millis(20)

export async function main(argv: readonly string[]): Promise<void> {
  const config = readConfig(argv)
  if (config.printConfigSchema) return void process.stdout.write(`${JSON.stringify(configSchema(), undefined, 2)}\n`)
  if (config.printConfig) return void process.stdout.write((await import('./wire/print-config.ts')).configInWords(config))
  if (config.check) process.exit((await (await import('./wire/check-host.ts')).checkHost(config, config.json)) ? 0 : 1)
  const log = createLog('agent', config.logLevel)
  const life = new ProcessLife(log)
  life.obeySignals()

  const registry = newRegistry()
  const registers = [registry]
  const published = new Counter({ name: 'millrace_agent_reports_total', help: 'Reports published', labelNames: ['kind'], registers })
  const dropped = new Counter({ name: 'millrace_agent_reports_dropped_total', help: 'Reports dropped', labelNames: ['reason'], registers })
  const samples = new Counter({ name: 'millrace_agent_samples_total', help: 'Looks at GPUs, server and host', registers })
  const smiAnswers = new Counter({
    name: 'millrace_agent_nvidia_smi_answers_total',
    help: 'Single questions put to nvidia-smi, by what was asked and whether it was answered',
    labelNames: ['question', 'answered'],
    registers,
  })
  const smiRuns = new Counter({ name: 'millrace_agent_nvidia_smi_runs_total', help: 'Times nvidia-smi was started', registers })
  const xids = new Counter({ name: 'millrace_agent_xids_total', help: 'Xids in the log of the kernel', labelNames: ['action'], registers })
  const kernelOverruns = new Counter({
    name: 'millrace_agent_kernel_log_overruns_total',
    help: 'Times that the kernel overwrote what was not read',
    registers,
  })

  const commanded = new Counter({
    name: 'millrace_agent_commands_total',
    help: 'Commands of operators, by how they ended',
    labelNames: ['ended'],
    registers,
  })

  let bus: NatsLink | undefined
  let begun = false
  let lookedAt = systemClock.now()
  const still = (): Health | undefined =>
    begun && systemClock.now() - lookedAt > limits.lookSilenceMax ? { ok: false, detail: 'the samples stand still' } : undefined
  const busHealth = (): Health =>
    bus?.state() === 'up' ? WELL : { ok: false, detail: bus?.detail() || `NATS at ${config.nats.join(', ')} is not connected` }
  const page = await serveMetrics(
    config.metricsListen,
    registry,
    () => still() ?? busHealth(),
    () => still() ?? WELL,
  )
  life.onStop('metrics', () => page.close())
  const calls = new RollCalls()
  const link = await connectNats({
    access: config.bus,
    self: { name: `agent ${config.node}`, inbox: nodeInbox(config.mesh, config.node) },
    log,
    waitMax: limits.busWaitMax,
    spread: () => calls.spread(),
  })
  life.onStop('nats', () => link.close())
  bus = link
  natsMetrics(registry, 'agent', link)

  // Not within the call: the loop comes last, and several changes of one moment are one report.
  const lookSoon = (): void => void setImmediate(() => begun && loop.look())
  const sensors: Sensors = openSensors({
    config,
    clock: systemClock,
    log,
    onChange: lookSoon,
    memory: config.stateDir === undefined ? undefined : faultMemory(config.stateDir, log),
    counts: {
      onStart: () => smiRuns.inc(),
      onAnswer: (question, answered) => smiAnswers.inc({ question, answered: answered ? 'yes' : 'no' }),
      onXid: (action) => xids.inc({ action }),
      onOverrun: () => kernelOverruns.inc(),
      ofServer: serverMetrics(registry, () => sensors.servers.reports()),
    },
  })
  life.onStop('sensors', () => sensors.close())
  const { smi, faults, kernelLog, servers } = sensors

  const loop = new SampleLoop(
    {
      clock: systemClock,
      wallClock: () => BigInt(Date.now()),
      draw: Math.random,
      gpus: faults.gpus,
      xids: faults.notes,
      endpoints: servers.reports,
      host: hostReader(systemClock),
      publish: reportPublisher(link, telemetrySubject(config.mesh, config.node), log, {
        published: (kind) => published.inc({ kind }),
        dropped: (reason) => dropped.inc({ reason }),
      }),
    },
    { nodeId: config.node, bootId: randomUUID(), zone: config.zone, agentVersion: manifest.version, simulated: config.simulated },
  )
  new Gauge({
    name: 'millrace_agent_gpu_telemetry',
    help: '1 for the state that holds: unspecified, ok, no_gpu or failed',
    labelNames: ['state'],
    registers,
    collect() {
      this.reset()
      this.set({ state: gpuTelemetryToJSON(smi.gpus().gpuTelemetry).replace('GPU_TELEMETRY_', '').toLowerCase() }, 1)
    },
  })
  new Gauge({
    name: 'millrace_agent_kernel_log_readable',
    help: '1 while the log of the kernel is read',
    registers,
    collect() {
      this.set(kernelLog.source() === undefined ? 0 : 1)
    },
  })
  new Gauge({
    name: 'millrace_agent_gpu_faults',
    help: 'GPUs out of service by the log of the kernel',
    registers,
    collect() {
      this.set(faults.count())
    },
  })
  await firstLook(servers)
  lookedAt = systemClock.now()
  begun = true
  const timer = setInterval(() => {
    samples.inc()
    lookedAt = systemClock.now()
    loop.look()
  }, limits.samplePeriod)
  life.onStop('samples', () => clearInterval(timer))
  link.onState((state) => {
    if (state === 'up') loop.linkReturned(calls.spread())
  })
  await link.subscribe(rollCall(config.mesh), (message) => {
    if (calls.heard(message)) loop.rollCalled(calls.spread())
  })
  const commands = new Commands({
    probe: servers.probeNow,
    endpoints: servers.reports,
    reportNow: () => loop.reportNow(),
    drain: (reason) => loop.drain(reason),
    clearGpuFault: faults.clear,
    count: (ended) => commanded.inc({ ended }),
    log,
  })
  await commands.follow(link, config.mesh, config.node)
  announceReady('agent', { metrics: page.address })
}

/** So that an agent that starts anew does not call a server unknown that was ready all the time. */
async function firstLook(servers: ServerWatches): Promise<void> {
  for (const until = systemClock.now() + limits.firstLookMax; systemClock.now() < until && !servers.seen(); ) await wait(FIRST_LOOK_POLL)
}
