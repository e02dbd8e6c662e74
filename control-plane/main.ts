/** Wires a control plane. It serves its proxies and operators before NATS answers, and says what is missing. */
import { hostname } from 'node:os'
import { serveGrpc } from '../core/edge/grpc-serve.ts'
import { createLog, type Logger } from '../core/edge/log.ts'
import { addProcessMetrics, type Health, newRegistry, type Registry, serveMetrics } from '../core/edge/metrics.ts'
import { connectNats } from '../core/edge/nats-link.ts'
import { natsMetrics } from '../core/edge/nats-metrics.ts'
import { ProcessLife } from '../core/edge/process-life.ts'
import { announceReady } from '../core/edge/ready-line.ts'
import { UsageError } from '../core/edge/settings.ts'
import { systemClock } from '../core/edge/system-clock.ts'
import { limits } from '../core/limits.ts'
import { allTelemetry, controlPlaneInbox } from '../core/subjects.ts'
import { millis, unixMillis } from '../core/units.ts'
import { type Config, readConfig } from './config.ts'
import { AdminServer } from './wire/admin-server.ts'
import { AgentCommands } from './wire/agent-commands.ts'
import { controlMetrics } from './wire/control-metrics.ts'
import { seldomCollectFully } from './wire/full-collections.ts'
import { IntentStore } from './wire/intent-store.ts'
import { ChangeLog } from './wire/log-changes.ts'
import { LoopRunner } from './wire/loop-runner.ts'
import { MeshServer } from './wire/mesh-server.ts'
import { callRolls } from './wire/roll-caller.ts'
import { OutcomeExchange } from './wire/share-outcomes.ts'
import { TelemetryIntake } from './wire/telemetry-intake.ts'
import { SuspectTrier } from './wire/try-suspects.ts'

export async function main(argv: readonly string[]): Promise<void> {
  seldomCollectFully()
  const config = readConfig(argv)
  const log = createLog('control-plane', config.logLevel)
  const life = new ProcessLife(log)
  const runner = new LoopRunner(systemClock)
  const intents = new IntentStore({
    mesh: config.mesh,
    log,
    onIntent: (node, stored) => runner.dispatch({ kind: 'intent', node, stored }),
    onKnown: () => runner.dispatch({ kind: 'intents-known' }),
  })
  const trier = new SuspectTrier((endpoint, address, connection) => runner.dispatch({ kind: 'asked', endpoint, address, connection }))
  const exchange = new OutcomeExchange(config.mesh, (shared) => runner.dispatch({ kind: 'shared', shared }))
  const changeLog = new ChangeLog(log, systemClock)
  const intake = new TelemetryIntake({
    onReport: (report) => runner.dispatch({ kind: 'report', report, wall: unixMillis(Date.now()) }),
    onMalformed: (node, { malformed, detail }) => {
      // An agent that is wrong is wrong twice a second: the counter counts, the log names one of many.
      if (intake.drops[malformed] % 1_000 === 1) log.warn({ node, malformed, detail }, 'report.malformed')
    },
  })
  const mesh = new MeshServer(runner, log)
  const commands = new AgentCommands(config.mesh, log)
  let self = hostname()
  const admin = new AdminServer(runner, intents, { commands, explain: mesh.explain }, log, () => self)
  const registry = newRegistry()
  addProcessMetrics(registry)
  const metrics = controlMetrics(
    registry,
    runner,
    intake,
    { log: () => changeLog.leftOut, watch: () => admin.changesLeftOut },
    commands,
    exchange,
    mesh.handOver,
  )

  const grpc = await serveGrpc(config.listen, 'control-plane --listen', [mesh.service, admin.service])
  life.onStop('grpc', () => grpc.close())
  self = `${hostname()} (${grpc.address})`
  const page = await serveMetrics(config.metricsListen, registry, () => readiness(runner))
  life.onStop('metrics', () => page.close())
  life.onStop('streams', () => {
    mesh.close()
    admin.close()
  })
  runner.start({
    telling: () => mesh.handOver.busy,
    push: (push) => mesh.handOver.add(push),
    pushed: () => mesh.handOver.hand(),
    changed: (change) => {
      admin.changed(change)
      changeLog.write(change.states)
    },
    ask: (endpoint, address) => trier.ask(endpoint, address),
    share: (news) => exchange.tell(news),
    ticked: metrics.ticked,
  })
  life.onStop('loop', () => {
    runner.stop()
    trier.close()
  })
  life.obeySignals()
  announceReady('control-plane', { listen: grpc.address, metrics: page.address })
  await followBus(config, log, life, { runner, registry, intake, intents, commands, exchange })
}

type OnBus = {
  readonly runner: LoopRunner
  readonly registry: Registry
  readonly intake: TelemetryIntake
  readonly intents: IntentStore
  readonly commands: AgentCommands
  readonly exchange: OutcomeExchange
}

async function followBus(config: Config, log: Logger, life: ProcessLife, parts: OnBus): Promise<void> {
  const { runner, registry, intake, intents, commands, exchange } = parts
  try {
    const link = await connectNats({
      access: config.bus,
      self: { name: 'millrace control-plane', inbox: controlPlaneInbox(config.mesh) },
      log,
      waitMax: limits.busWaitMaxControlPlane,
      spread: () => millis(0),
    })
    life.onStop('nats', () => link.close())
    natsMetrics(registry, 'control', link)
    life.onStop('intents', () => intents.close())
    link.onState((state) => runner.dispatch({ kind: 'link', link: state }))
    await link.subscribe(allTelemetry(config.mesh), (message, subject) => intake.take(message, subject))
    runner.dispatch({ kind: 'link', link: link.state() })
    const nodes = (): number | undefined => runner.read(({ settled, nodes }) => (settled ? nodes.size : undefined))
    life.onStop('roll-calls', callRolls({ link, mesh: config.mesh, nodes }))
    await exchange.follow(link)
    life.onStop('exchange', () => exchange.close())
    commands.follow(link)
    intents.follow(link)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`millrace control-plane: ${error.message}\n`)
    await life.stop(64)
  }
}

const readiness = (runner: LoopRunner): Health =>
  runner.read(({ link, intentsKnown }) => {
    if (link === 'down') return { ok: false, detail: 'NATS does not answer; proxies keep what they have' }
    if (!intentsKnown) return { ok: false, detail: 'stored intents are not read yet; does nats-server run with JetStream (-js)?' }
    return { ok: true, detail: 'ready' }
  })
