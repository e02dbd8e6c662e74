/** `millrace agent --check`: opens all senses once, waits until each has shown something or its time is over, and prints what there is. */
import { setTimeout as wait } from 'node:timers/promises'
import { createLog } from '../../core/edge/log.ts'
import { dialNats } from '../../core/edge/nats-dial.ts'
import { systemClock } from '../../core/edge/system-clock.ts'
import { limits } from '../../core/limits.ts'
import { nodeInbox } from '../../core/subjects.ts'
import { type Millis, millis } from '../../core/units.ts'
import { GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { allWell, findingsOf, inWords, type Sights } from '../check/findings.ts'
import type { AgentConfig } from '../config.ts'
import { openSensors, type Sensors } from './open-sensors.ts'

const POLL = millis(50)

/** Returns whether the agent could do its work. */
export async function checkHost(config: AgentConfig, json: boolean): Promise<boolean> {
  const nothing = (): void => {}
  const log = createLog('agent', 'silent')
  const ofServer = () => ({ onVerdict: nothing, onScrape: nothing })
  const counts = { onStart: nothing, onAnswer: nothing, onXid: nothing, onOverrun: nothing, ofServer }
  const sensors = openSensors({ config, clock: systemClock, log, onChange: nothing, onRead: nothing, memory: undefined, counts })
  try {
    const [problem] = await Promise.all([busProblem(config), looked(config, sensors)])
    const sights: Sights = {
      gpus: sensors.faults.gpus(),
      nvidiaSmi: config.nvidiaSmi,
      kernelLog: { wanted: config.kernelLog !== 'off', source: sensors.kernelLog.source() },
      endpoints: sensors.servers.reports(),
      problems: sensors.followed.problems(),
      bus: { servers: config.nats, problem },
    }
    const findings = findingsOf(sights)
    const well = allWell(findings)
    process.stdout.write(json ? `${JSON.stringify({ ok: well, node: config.node, findings }, undefined, 2)}\n` : `${inWords(findings)}\n`)
    return well
  } finally {
    await sensors.close()
  }
}

async function looked(config: AgentConfig, { smi, kernelLog, servers, followed }: Sensors): Promise<void> {
  await followed.looked()
  await Promise.all([
    until(() => smi.gpus().gpuTelemetry !== GpuTelemetry.GPU_TELEMETRY_UNSPECIFIED, limits.smiSilenceMax),
    until(() => config.kernelLog === 'off' || kernelLog.source() !== undefined, limits.kernelLogStart),
    until(() => servers.seen(), limits.firstLookMax).then(servers.probeNow),
    // A load is a second old before its rates are known.
    until(() => servers.reports().every(({ load }) => load?.queueDepth !== undefined), limits.loadAgeMax),
  ])
}

async function until(seen: () => boolean, most: Millis): Promise<void> {
  for (const end = systemClock.now() + most; systemClock.now() < end && !seen(); ) await wait(POLL)
}

/** Undefined when one of the bus's servers lets this agent in. */
async function busProblem(config: AgentConfig): Promise<string | undefined> {
  let problem: string | undefined
  for (const server of config.nats)
    try {
      const connection = await dialNats(server, config.bus, {
        name: `agent ${config.node} (check)`,
        inbox: nodeInbox(config.mesh, config.node),
      })
      await connection.close()
      return undefined
    } catch (error) {
      problem ??= (error as Error).message
    }
  return problem
}
