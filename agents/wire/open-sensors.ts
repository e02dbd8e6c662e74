/** All that the agent sees with, put together: nvidia-smi, the kernel's log, which processes use which GPUs, and the inference servers. */
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/edge/log.ts'
import { endpointId } from '../../core/ids.ts'
import { bindGpus } from '../discovery/gpu-wish.ts'
import { type Beat, startBeat } from './beat.ts'
import { bindServers } from './bind-servers.ts'
import { type FollowedServers, followServers, type ServerSources } from './follow-servers.ts'
import { followKernelLog, type KernelLog, sourcesOf } from './kernel-log.ts'
import { openServer } from './open-server.ts'
import { readProcesses, socketsListeningOn } from './read-processes.ts'
import { runNvidiaSmi, type SmiRunner, type SmiRunnerOptions } from './run-nvidia-smi.ts'
import type { ServerCounts } from './server-metrics.ts'
import { type FaultWatch, type FaultWatchOptions, watchFaults } from './watch-faults.ts'
import { type ServerWatches, watchServers } from './watch-servers.ts'

export type Sensors = {
  readonly beat: Beat
  readonly smi: SmiRunner
  readonly faults: FaultWatch
  readonly kernelLog: KernelLog
  readonly servers: ServerWatches
  readonly followed: FollowedServers
  close(): Promise<void>
}

export type SensorOptions = {
  readonly config: ServerSources & { readonly node: string; readonly nvidiaSmi: string; readonly kernelLog: string }
  readonly clock: Clock
  readonly log: Logger
  /** A state changed that is to be told at once. */
  readonly onChange: () => void
  /** All servers were asked for their load, and have answered or not. */
  readonly onRead: () => void
  readonly memory: FaultWatchOptions['memory']
  readonly counts: Pick<SmiRunnerOptions, 'onStart' | 'onAnswer'> & {
    readonly onXid: (action: string) => void
    readonly onOverrun: () => void
    readonly ofServer: (id: string) => ServerCounts
  }
}

export function openSensors({ config, clock, log, onChange, onRead, memory, counts }: SensorOptions): Sensors {
  const { onStart, onAnswer, onXid, onOverrun } = counts
  const beat = startBeat()
  const smi = runNvidiaSmi({ program: config.nvidiaSmi, clock, beat, log, onChange, onStart, onAnswer })
  const faults = watchFaults({ gpus: smi.gpus, clock, log, onChange, onXid, memory })
  const kernelLog = followKernelLog({ sources: sourcesOf(config.kernelLog), log, onText: faults.read, onOverrun })
  const binder = bindServers({ apps: smi.computeApps, listening: socketsListeningOn, processes: readProcesses, log, onChange })
  const servers = watchServers((spec) => {
    const id = endpointId(config.node, spec.name)
    return openServer(spec, {
      id,
      gpus: () => bindGpus(spec.gpus, spec.gpus === undefined ? binder.gpusOf(spec) : undefined, faults.gpus().gpus),
      clock,
      beat,
      log,
      onRead: () => void (servers.reading() || onRead()),
      onChange() {
        binder.askSoon()
        onChange()
      },
      ...counts.ofServer(id),
    })
  })
  const followed = followServers(config, clock, log, servers.become)
  return {
    beat,
    smi,
    faults,
    kernelLog,
    servers,
    followed,
    async close() {
      beat.stop()
      await followed.close()
      await servers.close()
      await binder.close()
      kernelLog.close()
      await smi.close()
    },
  }
}
