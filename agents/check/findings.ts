/**
 * Says in words what an agent would see and report on this host, what it cannot read, and how to mend that. Invariant: what keeps the agent from its work
 * is bad, what makes it know less is a warning, and each of both names a cure.
 */
import {
  EndpointHealth,
  type EndpointReport,
  endpointHealthToJSON,
  GpuBinding,
  type GpuReport,
  GpuState,
  GpuTelemetry,
} from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

export type Finding = {
  readonly part: 'gpus' | 'kernel log' | 'servers' | 'bus'
  readonly level: 'ok' | 'warning' | 'bad'
  readonly text: string
  readonly cure?: string
}

/** What one look at everything showed. */
export type Sights = {
  readonly gpus: { readonly gpus: readonly GpuReport[]; readonly gpuTelemetry: GpuTelemetry; readonly gpuTelemetryReason: string }
  readonly nvidiaSmi: string
  readonly kernelLog: { readonly wanted: boolean; readonly source: string | undefined }
  readonly endpoints: readonly EndpointReport[]
  /** What is wrong with what was told of servers. */
  readonly problems: readonly string[]
  readonly bus: { readonly servers: readonly string[]; readonly problem: string | undefined }
}

export const findingsOf = (sights: Sights): readonly Finding[] => [
  ...aboutGpus(sights),
  ...aboutKernelLog(sights),
  ...aboutServers(sights),
  ...aboutBus(sights),
]

const GIB = 1024 ** 3

function aboutGpus({ gpus: { gpus, gpuTelemetry, gpuTelemetryReason }, nvidiaSmi }: Sights): Finding[] {
  const part = 'gpus'
  switch (gpuTelemetry) {
    case GpuTelemetry.GPU_TELEMETRY_OK:
      return gpus.map((gpu): Finding => {
        const text = [`GPU ${gpu.index ?? '?'} ${gpu.name} ${gpu.uuid}`, ...factsOf(gpu)].join(', ')
        if (gpu.state !== GpuState.GPU_STATE_FAILED) return { part, level: 'ok', text }
        return {
          part,
          level: 'bad',
          text: `${text}: ${gpu.stateReason}`,
          cure: 'until it is well its endpoints are reported as without it',
        }
      })
    case GpuTelemetry.GPU_TELEMETRY_NO_GPU:
      return [
        {
          part,
          level: 'warning',
          text: gpuTelemetryReason,
          cure: 'with GPUs here, install the driver or name the program by --nvidia-smi PATH',
        },
      ]
    default: {
      const text = gpuTelemetryReason === '' ? `${nvidiaSmi} has said nothing` : gpuTelemetryReason
      return [{ part, level: 'bad', text, cure: `run "${nvidiaSmi}" by hand as the user of the agent` }]
    }
  }
}

const factsOf = (gpu: GpuReport): string[] => [
  ...(gpu.memoryTotalBytes === undefined ? [] : [`${(Number(gpu.memoryTotalBytes) / GIB).toFixed(0)} GiB`]),
  ...(gpu.temperatureCelsius === undefined ? [] : [`${gpu.temperatureCelsius} °C`]),
  ...(gpu.driverVersion === '' ? [] : [`driver ${gpu.driverVersion}`]),
]

function aboutKernelLog({ kernelLog: { wanted, source } }: Sights): Finding[] {
  const part = 'kernel log'
  if (!wanted) return [{ part, level: 'ok', text: 'off, as set' }]
  if (source !== undefined) return [{ part, level: 'ok', text: `read from ${source}` }]
  const cure = 'grant CAP_SYSLOG or the group systemd-journal, or name a file with the log by --kernel-log'
  return [{ part, level: 'warning', text: 'cannot be read; GPU faults are known from nvidia-smi only', cure }]
}

const LOOPBACK = /^(127\.|localhost:|\[::1\])/

function aboutServers({ endpoints, problems }: Sights): Finding[] {
  const part = 'servers'
  const found: Finding[] = problems.map((text) => ({ part, level: 'bad', text, cure: 'mend that line; what the file said before stays' }))
  if (endpoints.length === 0 && problems.length === 0) {
    const cure = 'name one by --server-grpc HOST:PORT, several by servers in the --config file, or try --discover'
    found.push({ part, level: 'warning', text: 'none is told: only GPUs and host are reported', cure })
  }
  for (const endpoint of endpoints) found.push(...aboutServer(endpoint))
  return found
}

function aboutServer(endpoint: EndpointReport): Finding[] {
  const part = 'servers'
  const { id, address, serverKind, health, healthReason, models, load } = endpoint
  const well = health === EndpointHealth.ENDPOINT_HEALTH_READY || health === EndpointHealth.ENDPOINT_HEALTH_BUSY
  const state = endpointHealthToJSON(health).replace('ENDPOINT_HEALTH_', '')
  const text = `${id} (${serverKind}) at ${address}: ${state}${healthReason === '' ? '' : `: ${healthReason}`}; models ${models.join(', ') || 'none'}; ${gpusInWords(endpoint)}`
  const found: Finding[] = [
    well ? { part, level: 'ok', text } : { part, level: 'bad', text, cure: 'is it running, and are its addresses those of the settings?' },
  ]
  if (LOOPBACK.test(address))
    found.push({
      part,
      level: 'warning',
      text: `${id}: only proxies on this host reach ${address}`,
      cure: 'set advertise, or --advertise-host',
    })
  if (well && Object.values(load ?? {}).every((figure) => figure === undefined))
    found.push({
      part,
      level: 'warning',
      text: `${id}: nothing is known of its load`,
      cure: 'is its metrics page on, and metrics its URL?',
    })
  return found
}

function gpusInWords({ gpuUuids, gpuBinding }: EndpointReport): string {
  const how =
    gpuBinding === GpuBinding.GPU_BINDING_FLAG
      ? 'as set'
      : gpuBinding === GpuBinding.GPU_BINDING_PROCESS
        ? 'by its processes'
        : 'all of the host'
  return `GPUs ${gpuUuids.length} (${how})`
}

function aboutBus({ bus: { servers, problem } }: Sights): Finding[] {
  const part = 'bus'
  if (problem === undefined) return [{ part, level: 'ok', text: `NATS at ${servers.join(', ')} lets this agent in` }]
  return [{ part, level: 'bad', text: problem, cure: 'correct --nats and its credentials, or start nats-server there' }]
}

const SIGNS: Readonly<Record<Finding['level'], string>> = { ok: 'ok  ', warning: 'warn', bad: 'BAD ' }

export const inWords = (findings: readonly Finding[]): string =>
  findings
    .map(
      ({ part, level, text, cure }) =>
        `${SIGNS[level]} ${part.padEnd(10)} ${text}${cure === undefined ? '' : `\n${' '.repeat(16)}→ ${cure}`}`,
    )
    .join('\n')

export const allWell = (findings: readonly Finding[]): boolean => findings.every(({ level }) => level !== 'bad')
