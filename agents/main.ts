/** Wires an agent: what looks, what decides, what tells. */
import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { createLog, type Logger } from '../core/edge/log.ts'
import { newRegistry, serveMetrics } from '../core/edge/metrics.ts'
import { connectNats, type NatsLink } from '../core/edge/nats-link.ts'
import { natsMetrics } from '../core/edge/nats-metrics.ts'
import { ProcessLife } from '../core/edge/process-life.ts'
import { announceReady } from '../core/edge/ready-line.ts'
import { systemClock } from '../core/edge/system-clock.ts'
import { limits } from '../core/limits.ts'
import { nodeInbox, rollCall, telemetrySubject } from '../core/subjects.ts'
import { millis } from '../core/units.ts'
import manifest from '../package.json' with { type: 'json' }
import { type AgentConfig, configSchema, readConfig } from './config.ts'
import { SampleLoop } from './sample-loop.ts'
import { AgentHealth } from './wire/agent-health.ts'
import { type AgentCounts, agentCounts, sensorGauges } from './wire/agent-metrics.ts'
import { lookWhenDue } from './wire/beat.ts'
import { faultMemory } from './wire/fault-memory.ts'
import { openSensors, type Sensors } from './wire/open-sensors.ts'
import { reportPublisher } from './wire/publish-report.ts'
import { hostReader } from './wire/read-host.ts'
import { RollCalls } from './wire/roll-calls.ts'
import { Commands } from './wire/take-commands.ts'
import type { ServerWatches } from './wire/watch-servers.ts'

const FIRST_LOOK_POLL = millis(20)

export async function main(argv: readonly string[]): Promise<void> {
  const config = readConfig(argv)
  if (config.printConfigSchema) return void process.stdout.write(`${JSON.stringify(configSchema(), undefined, 2)}\n`)
  if (config.printConfig) return void process.stdout.write((await import('./wire/print-config.ts')).configInWords(config))
  if (config.check) process.exit((await (await import('./wire/check-host.ts')).checkHost(config, config.json)) ? 0 : 1)
  await run(config)
}

async function run(config: AgentConfig): Promise<void> {
  const log = createLog('agent', config.logLevel)
  const life = new ProcessLife(log)
  life.obeySignals()
  const registry = newRegistry()
  const counts = agentCounts(registry)
  const health = new AgentHealth(systemClock, config.nats)
  const page = await serveMetrics(
    config.metricsListen,
    registry,
    () => health.ready(),
    () => health.live(),
  )
  life.onStop('metrics', () => page.close())
  const calls = new RollCalls()
  const link = await dial(config, calls, log)
  life.onStop('nats', () => link.close())
  health.bus = link
  natsMetrics(registry, 'agent', link)

  // Not within the call: the loop comes last, and several changes of one moment are one report.
  const lookSoon = (): void => void setImmediate(() => health.begun && loop.look())
  const sensors: Sensors = openSensors({
    config,
    clock: systemClock,
    log,
    onChange: lookSoon,
    onRead: lookSoon,
    memory: config.stateDir === undefined ? undefined : faultMemory(config.stateDir, log),
    counts: counts.ofSensors(() => sensors.servers.reports()),
  })
  life.onStop('sensors', () => sensors.close())
  sensorGauges(registry, sensors)
  const loop = sampleLoop(config, sensors, link, log, counts)

  await firstLook(sensors.servers)
  health.looked()
  sensors.beat.atSamples(() => {
    counts.sampled()
    health.looked()
  })
  const stopLooking = lookWhenDue(sensors.beat, { reading: sensors.servers.reading, due: () => loop.due(), look: () => loop.look() })
  life.onStop('samples', stopLooking)
  await obey(config, loop, { sensors, link, calls, log, counts })
  announceReady('agent', { metrics: page.address })
}

const dial = (config: AgentConfig, calls: RollCalls, log: Logger): Promise<NatsLink> =>
  connectNats({
    access: config.bus,
    self: { name: `agent ${config.node}`, inbox: nodeInbox(config.mesh, config.node) },
    log,
    waitMax: limits.busWaitMax,
    spread: () => calls.spread(),
  })

function sampleLoop(config: AgentConfig, { faults, servers }: Sensors, link: NatsLink, log: Logger, counts: AgentCounts): SampleLoop {
  const { node: nodeId, zone, simulated, mesh } = config
  return new SampleLoop(
    {
      clock: systemClock,
      wallClock: () => BigInt(Date.now()),
      draw: Math.random,
      gpus: faults.gpus,
      xids: faults.notes,
      endpoints: servers.reports,
      host: hostReader(systemClock),
      publish: reportPublisher(link, telemetrySubject(mesh, nodeId), log, counts.ofReports),
    },
    { nodeId, bootId: randomUUID(), zone, agentVersion: manifest.version, simulated },
  )
}

/** So that an agent that starts anew does not call a server unknown that was ready all the time. */
async function firstLook(servers: ServerWatches): Promise<void> {
  for (const until = systemClock.now() + limits.firstLookMax; systemClock.now() < until && !servers.seen(); ) await wait(FIRST_LOOK_POLL)
}

type Obeying = {
  readonly sensors: Sensors
  readonly link: NatsLink
  readonly calls: RollCalls
  readonly log: Logger
  readonly counts: AgentCounts
}

/** What the mesh asks of it: roll calls and commands; and what a link that returned asks for. */
async function obey(config: AgentConfig, loop: SampleLoop, { sensors, link, calls, log, counts }: Obeying): Promise<void> {
  link.onState((state) => {
    if (state === 'up') loop.linkReturned(calls.spread())
  })
  await link.subscribe(rollCall(config.mesh), (message) => {
    if (calls.heard(message)) loop.rollCalled(calls.spread())
  })
  const commands = new Commands({
    probe: sensors.servers.probeNow,
    endpoints: sensors.servers.reports,
    reportNow: () => loop.reportNow(),
    drain: (reason) => loop.drain(reason),
    clearGpuFault: sensors.faults.clear,
    count: counts.ofCommands,
    log,
  })
  await commands.follow(link, config.mesh, config.node)
}
