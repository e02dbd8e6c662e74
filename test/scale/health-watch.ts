/** Watches the health of a model at a proxy, as a load balancer in front of it does, and keeps when the last change came. */
import { type ClientReadableStream, credentials } from '@grpc/grpc-js'
import { HealthClient, HealthCheckResponse_ServingStatus as STATUS } from '../../proto/gen/grpc/health/v1/health.ts'
import { machineNow } from './helper.ts'

export class HealthWatch {
  readonly #client: HealthClient
  readonly #stream: ClientReadableStream<{ status: number }>
  #serving: boolean | undefined
  #at = 0
  #tell: (() => void) | undefined

  constructor(address: string, model: string) {
    this.#client = new HealthClient(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
    this.#stream = this.#client.watch({ service: model })
    this.#stream.on('data', ({ status }: { status: number }) => {
      this.#serving = status === STATUS.SERVING
      this.#at = machineNow()
      this.#tell?.()
    })
    this.#stream.on('error', () => {})
  }

  /** When it became so; at once when it is so already. */
  becomes(serving: boolean): Promise<number> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (this.#serving !== serving) return
        this.#tell = undefined
        resolve(this.#at)
      }
      this.#tell = look
      look()
    })
  }

  close(): void {
    this.#stream.cancel()
    this.#client.close()
  }
}
