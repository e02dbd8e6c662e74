/** Everything that watches one server, put together. The gRPC library is loaded only where a server needs it. */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { Logger } from '../../core/edge/log.ts'
import { Protocol } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { protocolOf } from '../backend/kinds.ts'
import type { BoundGpus } from '../discovery/gpu-wish.ts'
import type { ServerSpec } from '../discovery/server-spec.ts'
import type { Beat } from './beat.ts'
import { type DeepProbeOptions, deepProbe } from './deep-probe.ts'
import type { KserveClient } from './kserve-client.ts'
import { modelLister } from './list-models.ts'
import { prober } from './probe-model.ts'
import type { Scrape } from './scrape-load.ts'
import { type ServerWatch, watchServer } from './watch-server.ts'

export type OpenServerOptions = {
  readonly id: string
  readonly gpus: () => BoundGpus
  readonly clock: Clock
  readonly beat: Beat
  readonly log: Logger
  readonly onChange: () => void
  readonly onRead: () => void
  readonly onVerdict: DeepProbeOptions['onVerdict']
  readonly onScrape: (scrape: Scrape) => void
}

export function openServer(spec: ServerSpec, options: OpenServerOptions): ServerWatch {
  const { id, clock, log } = options
  const speaksKserve = protocolOf(spec.kind, spec.grpc !== undefined) === Protocol.PROTOCOL_KSERVE_GRPC
  const kserve = speaksKserve && spec.grpc !== undefined ? lazyClient(spec.grpc, () => watch.connectionLost()) : undefined
  const questions = prober(spec, kserve, () => randomBytes(8).readBigUInt64LE() >> 1n)
  const { period } = spec.probe
  const watch: ReturnType<typeof watchServer> = watchServer({
    spec,
    lister: modelLister(spec, kserve),
    deep: spec.probe.deep
      ? deepProbe({ endpoint: id, period, prober: questions, clock, draw: Math.random, log, onVerdict: options.onVerdict })
      : undefined,
    ...options,
  })
  return {
    ...watch,
    async close() {
      questions.close()
      kserve?.close()
      await watch.close()
    },
  }
}

function lazyClient(address: string, onLoss: () => void): KserveClient {
  let closed = false
  let opened: KserveClient | undefined
  const open = async (): Promise<KserveClient> => {
    const { kserveClient } = await import('./kserve-client.ts')
    opened ??= kserveClient(address, onLoss)
    if (closed) opened.close()
    return opened
  }
  return {
    list: async () => (await open()).list(),
    facts: async (model) => (await open()).facts(model),
    infer: async (request, decoupled, timeout) => (await open()).infer(request, decoupled, timeout),
    close() {
      closed = true
      opened?.close()
    },
  }
}
