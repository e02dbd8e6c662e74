/** Wires an agent: what looks, what decides, what tells. */
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { createLog } from '../core/edge/log.ts'
import { Counter, Gauge, newRegistry, serveMetrics } from '../core/edge/metrics.ts'
import { connectNats, type NatsLink } from '../core/edge/nats-link.ts'
import { natsMetrics } from '../core/edge/nats-metrics.ts'
import { ProcessLife } from '../core/edge/process-life.ts'
import { announceReady } from '../core/edge/ready-line.ts'
import { systemClock } from '../core/edge/system-clock.ts'
import { endpointId } from '../core/ids.ts'
import { limits } from '../core/limits.ts'
import { nodeInbox, rollCall, telemetrySubject } from '../core/subjects.ts'
import { millis } from '../core/units.ts'
import manifest from '../package.json' with { type: 'json' }
import { gpuTelemetryToJSON } from '../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { readConfig } from './config.ts'
import { bindGpus } from './discovery/gpu-wish.ts'
import { SampleLoop } from './sample-loop.ts'
import { bindServers } from './wire/bind-servers.ts'
import { faultMemory } from './wire/fault-memory.ts'
import { followServers } from './wire/follow-servers.ts'
import { followKernelLog, sourcesOf } from './wire/kernel-log.ts'
import { openServer } from './wire/open-server.ts'
import { reportPublisher } from './wire/publish-report.ts'
import { hostReader } from './wire/read-host.ts'
import { readProcesses, socketsListeningOn } from './wire/read-processes.ts'
import { RollCalls } from './wire/roll-calls.ts'
import { runNvidiaSmi } from './wire/run-nvidia-smi.ts'
import { serverMetrics } from './wire/server-metrics.ts'
import { Commands } from './wire/take-commands.ts'
import { watchFaults } from './wire/watch-faults.ts'
import { type ServerWatches, watchServers } from './wire/watch-servers.ts'

const FIRST_LOOK_POLL = millis(20)

export async function main(argv: readonly string[]): Promise<void> {
  const config = readConfig(argv)
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
  const page = await serveMetrics(config.metricsListen, registry, () => {
    if (bus?.state() === 'up') return { ok: true, detail: 'ok' }
    return { ok: false, detail: bus?.detail() || `NATS at ${config.nats.join(', ')} is not connected` }
  })
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
  let begun = false
  const lookSoon = (): void => void setImmediate(() => begun && loop.look())
  const smi = runNvidiaSmi({
    program: config.nvidiaSmi,
    clock: systemClock,
    log,
    onChange: lookSoon,
    onStart: () => smiRuns.inc(),
    onAnswer: (question, answered) => smiAnswers.inc({ question, answered: answered ? 'yes' : 'no' }),
  })
  life.onStop('nvidia-smi', () => smi.close())
  const faults = watchFaults({
    gpus: smi.gpus,
    clock: systemClock,
    log,
    onChange: lookSoon,
    onXid: (action) => xids.inc({ action }),
    memory: config.stateDir === undefined ? undefined : faultMemory(config.stateDir, log),
  })
  const kernelLog = followKernelLog({
    sources: sourcesOf(config.kernelLog),
    log,
    onText: faults.read,
    onOverrun: () => kernelOverruns.inc(),
  })
  life.onStop('kernel-log', () => kernelLog.close())
  const binder = bindServers({
    apps: smi.computeApps,
    listening: socketsListeningOn,
    processes: readProcesses,
    log,
    onChange: lookSoon,
  })
  life.onStop('gpu-binding', () => binder.close())
  const countsOf = serverMetrics(registry, () => servers.reports())
  const servers = watchServers((spec) => {
    const id = endpointId(config.node, spec.name)
    return openServer(spec, {
      id,
      gpus: () => bindGpus(spec.gpus, spec.gpus === undefined ? binder.gpusOf(spec) : undefined, faults.gpus().gpus),
      clock: systemClock,
      log,
      onChange() {
        binder.askSoon()
        lookSoon()
      },
      ...countsOf(id),
    })
  })
  const followed = followServers(config, systemClock, log, servers.become)
  life.onStop('servers', async () => {
    await followed.close()
    await servers.close()
  })

  const loop = new SampleLoop(
    {
      clock: systemClock,
      wallClock: () => BigInt(Date.now()),
      draw: Math.random,
      gpus: faults.gpus,
      xids: faults.notes,
      endpoints: servers.reports,
      host: hostReader(),
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
  begun = true
  const timer = setInterval(() => {
    samples.inc()
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
