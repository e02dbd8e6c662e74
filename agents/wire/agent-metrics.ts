/** What the agent's metrics page says of the agent itself and of what it sees with. Label sets are closed lists. */
import { Counter, Gauge, type Registry } from '../../core/edge/metrics.ts'
import { type EndpointReport, gpuTelemetryToJSON } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import type { SensorOptions, Sensors } from './open-sensors.ts'
import type { PublishCounts } from './publish-report.ts'
import { serverMetrics } from './server-metrics.ts'
import type { CommandPorts } from './take-commands.ts'

export type AgentCounts = {
  readonly sampled: () => void
  readonly ofReports: PublishCounts
  readonly ofCommands: CommandPorts['count']
  /** `reports`: of the servers that are watched now. */
  readonly ofSensors: (reports: () => readonly EndpointReport[]) => SensorOptions['counts']
}

export function agentCounts(registry: Registry): AgentCounts {
  const counter = (name: string, help: string, ...labelNames: string[]): Counter =>
    new Counter({ name: `millrace_agent_${name}`, help, labelNames, registers: [registry] })
  const published = counter('reports_total', 'Reports published', 'kind')
  const dropped = counter('reports_dropped_total', 'Reports dropped', 'reason')
  const samples = counter('samples_total', 'Looks at GPUs, server and host')
  const smiAnswers = counter(
    'nvidia_smi_answers_total',
    'Single questions put to nvidia-smi, by what was asked and whether it was answered',
    'question',
    'answered',
  )
  const smiRuns = counter('nvidia_smi_runs_total', 'Times nvidia-smi was started')
  const xids = counter('xids_total', 'Xids in the log of the kernel', 'action')
  const overruns = counter('kernel_log_overruns_total', 'Times that the kernel overwrote what was not read')
  const commands = counter('commands_total', 'Commands of operators, by how they ended', 'ended')
  return {
    sampled: () => samples.inc(),
    ofReports: { published: (kind) => published.inc({ kind }), dropped: (reason) => dropped.inc({ reason }) },
    ofCommands: (ended) => commands.inc({ ended }),
    ofSensors: (reports) => ({
      onStart: () => smiRuns.inc(),
      onAnswer: (question, answered) => smiAnswers.inc({ question, answered: answered ? 'yes' : 'no' }),
      onXid: (action) => xids.inc({ action }),
      onOverrun: () => overruns.inc(),
      ofServer: serverMetrics(registry, reports),
    }),
  }
}

/** Read at the time of the scrape. */
export function sensorGauges(registry: Registry, { smi, kernelLog, faults }: Pick<Sensors, 'smi' | 'kernelLog' | 'faults'>): void {
  const gauge = (name: string, help: string, read: () => number): void =>
    void new Gauge({
      name: `millrace_agent_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(read())
      },
    })
  gauge('kernel_log_readable', '1 while the log of the kernel is read', () => (kernelLog.source() === undefined ? 0 : 1))
  gauge('gpu_faults', 'GPUs out of service by the log of the kernel', () => faults.count())
  new Gauge({
    name: 'millrace_agent_gpu_telemetry',
    help: '1 for the state that holds: unspecified, ok, no_gpu or failed',
    labelNames: ['state'],
    registers: [registry],
    collect() {
      this.reset()
      this.set({ state: gpuTelemetryToJSON(smi.gpus().gpuTelemetry).replace('GPU_TELEMETRY_', '').toLowerCase() }, 1)
    },
  })
}
