/** The simulated server as a whole, in this process: one engine behind a gRPC port and an HTTP port. */
import { systemClock } from '../../core/edge/system-clock.ts'
import { aboutMethods } from './about.ts'
import type { Behaviour } from './behaviour.ts'
import { serveControl } from './control-http.ts'
import { Engine } from './engine.ts'
import { serveGrpc } from './grpc-http2.ts'
import { modelInfer, modelStreamInfer } from './inference.ts'
import { type QueueRules, seededDraw } from './queue.ts'

export const KSERVE_SERVICE = '/inference.GRPCInferenceService/'

export type SimServerOptions = {
  readonly listen: string
  readonly httpListen: string
  readonly models: readonly string[]
  readonly rules: QueueRules
  readonly behaviour: Behaviour
  readonly seed: number
  /** What POST /sim/die does. */
  readonly die: () => void
}

export type SimServer = { readonly listen: string; readonly http: string; readonly engine: Engine; close(): Promise<void> }

export async function serveSim(options: SimServerOptions): Promise<SimServer> {
  const engine = new Engine(options.models, options.rules, options.behaviour, systemClock, seededDraw(options.seed))
  const methods = [...aboutMethods(engine), ['ModelInfer', modelInfer(engine)], ['ModelStreamInfer', modelStreamInfer(engine)]] as const
  const grpc = await serveGrpc(
    options.listen,
    new Map(methods.map(([name, method]) => [`${KSERVE_SERVICE}${name}`, method])),
    () => engine.behaviour.mode === 'refuse',
  )
  const control = await serveControl(options.httpListen, engine, options.die)
  return {
    listen: grpc.address,
    http: control.address,
    engine,
    async close() {
      engine.close()
      await Promise.all([grpc.close(), control.close()])
    },
  }
}
