/**
 * How each model answers, as its server's ModelConfig tells: in order, or decoupled. Asked once per model and version when a client's stream first needs to
 * know it, and again when the answer is old or its server gone. A server that cannot say promises no order, so its answers pass as they come:
 * to hold back what may be a token stream would be the greater harm.
 */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import { ModelConfigRequest, ModelConfigResponse } from '../../proto/gen/inference/grpc_service.ts'
import { GRPC } from '../grpc/status.ts'
import type { Connection } from '../http2/connection.ts'
import type { AnswerKind } from '../relay/answer-order.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import { callUnary } from './upstream-call.ts'

const PATH = '/inference.GRPCInferenceService/ModelConfig'

type Known = { kind: AnswerKind; slot: EndpointSlot; askedAt: Millis; listeners: ((kind: AnswerKind) => void)[] }

export type KindPorts = { now(): Millis; open(slot: EndpointSlot): Connection | undefined }

export class AnswerKinds {
  readonly #ports: KindPorts
  /** In the order in which they were first asked for. */
  readonly #known = new Map<string, Known>()

  constructor(ports: KindPorts) {
    this.#ports = ports
  }

  /** What is known; `tell` hears it when that is nothing yet. */
  readonly of = (model: string, version: string, slot: EndpointSlot, tell: (kind: AnswerKind) => void): AnswerKind => {
    const key = `${model}\n${version}`
    let known = this.#known.get(key)
    if (known === undefined || (known.kind !== 'asking' && this.#isOld(known))) {
      // An old answer serves until there is a new one.
      known = { kind: known?.kind ?? 'asking', slot, askedAt: this.#ports.now(), listeners: [] }
      this.#known.set(key, known)
      if (this.#known.size > limits.answerKindsMax) this.#known.delete(this.#known.keys().next().value as string)
      void this.#ask(known, model, version)
    }
    if (known.kind === 'asking') known.listeners.push(tell)
    return known.kind
  }

  #isOld(known: Known): boolean {
    return known.slot.gone || this.#ports.now() - known.askedAt > limits.answerKindAgeMax
  }

  async #ask(known: Known, model: string, version: string): Promise<void> {
    const kind = await this.#configured(known.slot, model, version)
    known.kind = kind ?? (known.kind === 'asking' ? 'decoupled' : known.kind)
    for (const tell of known.listeners.splice(0)) tell(known.kind)
  }

  async #configured(slot: EndpointSlot, name: string, version: string): Promise<AnswerKind | undefined> {
    const connection = this.#ports.open(slot)
    if (connection === undefined) return undefined
    const body = ModelConfigRequest.encode({ name, version }).finish()
    const framed = Buffer.alloc(5 + body.length)
    framed.writeUInt32BE(body.length, 1)
    framed.set(body, 5)
    const { status, message } = await callUnary(connection, PATH, slot.endpoint.address, framed)
    if (status !== GRPC.OK) return undefined
    try {
      return ModelConfigResponse.decode(message).config?.modelTransactionPolicy?.decoupled === true ? 'decoupled' : 'in-order'
    } catch {
      return undefined
    }
  }
}
