/** The agent as a process beside a real NATS server: what the mesh hears of GPUs that fall ill and get well while everything runs, and of slices of one. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from 'nats'
import { expect, onTestFinished, test } from 'vitest'
import { type GpuReport, GpuState, GpuTelemetry, NodeReport } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { startNats } from '../tools/nats.ts'
import { spawnPart } from '../tools/spawn-part.ts'

const NVIDIA_SMI = fileURLToPath(new URL('../../sim/nvidia-smi/nvidia-smi', import.meta.url))
const soon = { timeout: 20_000, interval: 20 }

type Host = {
  /** As the mesh knows them: the newest that was said of each. */
  gpus(): readonly GpuReport[]
  telemetry(): GpuTelemetry | undefined
  /** Where the agent's metrics are. */
  readonly metrics: string
}

/** An agent on a host that shows what `env` asks for. */
async function startHost(env: Readonly<Record<string, string>>): Promise<Host> {
  const nats = await startNats()
  onTestFinished(() => nats.stop())
  const connection = await connect({ servers: nats.url })
  onTestFinished(() => connection.close())
  const known = new Map<string, GpuReport>()
  let telemetry: GpuTelemetry | undefined
  connection.subscribe('millrace.default.telemetry.*', {
    callback: (_, message) => {
      const report = NodeReport.decode(message.data)
      telemetry = report.gpuTelemetry
      if (report.full) known.clear()
      for (const gpu of report.gpus) known.set(gpu.uuid, gpu)
    },
  })
  await connection.flush()
  const argv = ['--node', 'gpu-a', '--nats', nats.url, '--metrics-listen', '127.0.0.1:0', '--nvidia-smi', NVIDIA_SMI, '--kernel-log', 'off']
  const agent = await spawnPart('agent', argv, { env: { MILLRACE_SIM_GPU_SEED: 'gpu-a', ...env } })
  onTestFinished(() => agent.kill())
  return { gpus: () => [...known.values()], telemetry: () => telemetry, metrics: `http://${agent.fields.metrics}/metrics` }
}

test('GPUs fall ill in every way and get well again, and the mesh hears each of it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-scene-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'scene')
  const play = (scene: string): void => {
    writeFileSync(`${file}.new`, scene)
    renameSync(`${file}.new`, file)
  }
  play('healthy')
  const host = await startHost({ MILLRACE_SIM_SCENE_FILE: file })
  const second = (): GpuReport | undefined => host.gpus().find(({ pciBusId }) => pciBusId === '00000000:2A:00.0')
  const othersWell = (): number => host.gpus().filter((gpu) => gpu !== second() && gpu.state === GpuState.GPU_STATE_OK).length
  const well = async (): Promise<void> => {
    play('healthy')
    await expect
      .poll(second, soon)
      .toMatchObject({ state: GpuState.GPU_STATE_OK, eccUncorrected: 0n, throttleReasons: 1n, recoveryAction: 'None' })
    await expect.poll(othersWell, soon).toBe(7)
  }
  await well()

  play('ecc-growth')
  await expect.poll(() => Number(second()?.eccUncorrected ?? 0), soon).toBeGreaterThan(2)
  expect(Number(second()?.eccCorrected)).toBeGreaterThan(20)
  await well()

  play('throttle-thermal')
  await expect
    .poll(second, soon)
    .toMatchObject({ throttleReasons: 0x68n, temperatureCelsius: 93, smClockMhz: 600, state: GpuState.GPU_STATE_OK })
  await well()

  play('recovery-action')
  await expect.poll(second, soon).toMatchObject({ state: GpuState.GPU_STATE_FAILED, stateReason: 'recovery action: Drain and Reset' })
  await well()

  play('gpu-lost')
  await expect.poll(second, soon).toMatchObject({ state: GpuState.GPU_STATE_FAILED, stateReason: expect.stringContaining('GPU is lost') })
  expect(second()?.utilization).toBeUndefined()
  expect(othersWell()).toBe(7)
  await well()

  play('driver-down')
  await expect.poll(host.telemetry, soon).toBe(GpuTelemetry.GPU_TELEMETRY_FAILED)
  expect(host.gpus().every(({ utilization }) => utilization === undefined)).toBe(true)
  play('healthy')
  await expect.poll(host.telemetry, soon).toBe(GpuTelemetry.GPU_TELEMETRY_OK)
  await well()
})

test('slices of a GPU are told of by name and memory, and the question for them is counted', async () => {
  const host = await startHost({ MILLRACE_SIM_CAPTURE: 'h100-mig' })
  await expect.poll(() => host.gpus()[0]?.migInstances.length, soon).toBe(4)
  expect(host.gpus()[0]).toMatchObject({ migEnabled: true, utilization: undefined, memoryUsedBytes: 11_125n * 1_048_576n })
  expect(new Set(host.gpus()[0]?.migInstances.map(({ uuid }) => uuid)).size).toBe(4)
  const page = await (await fetch(host.metrics)).text()
  expect(page).toContain('millrace_agent_nvidia_smi_answers_total{question="details",answered="yes"} 1')
})
