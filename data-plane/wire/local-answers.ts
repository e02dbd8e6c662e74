/** Answers that belong to the whole fleet: ready when any endpoint is, an index merged over all, statistics summed. */

import { limits } from '../../core/limits.ts'
import { REFUSALS } from '../../core/mesh-error.ts'
import {
  ModelReadyRequest,
  ModelReadyResponse,
  ModelStatisticsRequest,
  ModelStatisticsResponse,
  RepositoryIndexResponse,
  ServerLiveResponse,
  ServerReadyResponse,
} from '../../proto/gen/inference/grpc_service.ts'
import type { LocalAnswer } from '../grpc/methods.ts'
import { GRPC, responseHead } from '../grpc/status.ts'
import type { Connection } from '../http2/connection.ts'
import { mergeIndexes } from '../local/merge-indexes.ts'
import { sumStatistics } from '../local/sum-statistics.ts'
import type { Exchange } from '../relay/exchange.ts'
import type { EndpointSlot } from '../routing/endpoint-slot.ts'
import { possibleTargets } from '../routing/resolve-model.ts'
import type { RoutingTable } from '../routing/routing-table.ts'
import { type CallResult, callUnary } from './upstream-call.ts'

export type FanOutPorts = { routing(): RoutingTable; open(slot: EndpointSlot): Connection | undefined }

export function createLocalAnswers(ports: FanOutPorts): (what: LocalAnswer, path: string, framed: Uint8Array, exchange: Exchange) => void {
  const ask = (slot: EndpointSlot, path: string, framed: Uint8Array): Promise<CallResult> => {
    const connection = ports.open(slot)
    if (connection === undefined)
      return Promise.resolve({ status: GRPC.UNAVAILABLE, detail: 'all connections are full', message: Buffer.alloc(0) })
    return callUnary(connection, path, slot.endpoint.address, framed)
  }

  /** One after the other, best first, until one says yes; if all fail, the last failure is the answer. */
  const any = async (questions: readonly Question[], path: string, says: (message: Buffer) => boolean): Promise<Answer> => {
    let answer = NOBODY
    for (const { slot, framed } of askedOf(questions)) {
      const result = await ask(slot, path, framed)
      if (result.status !== GRPC.OK) {
        if (answer.message === undefined) answer = { ...result, message: undefined }
      } else {
        answer = { status: GRPC.OK, detail: '', message: result.message }
        if (says(result.message)) break
      }
    }
    return answer
  }

  const all = async (questions: readonly Question[], path: string, merge: (messages: readonly Buffer[]) => Uint8Array): Promise<Answer> => {
    const results = await Promise.all(askedOf(questions).map(({ slot, framed }) => ask(slot, path, framed)))
    const good = results.filter((result) => result.status === GRPC.OK)
    if (good.length > 0) return { status: GRPC.OK, detail: '', message: merge(good.map((result) => result.message)) }
    return results[0] === undefined ? NOBODY : { ...results[0], message: undefined }
  }

  const askedOf = (questions: readonly Question[]): readonly { readonly slot: EndpointSlot; readonly framed: Uint8Array }[] =>
    questions.flatMap((one) => servingSlots(ports.routing(), one).map((slot) => ({ slot, framed: one.framed }))).slice(0, limits.fanOutMax)

  /** A server knows what is meant, and not by which other names that goes. */
  const questionsOf = ({ name, version }: Named, framed: Uint8Array, encode: (named: Named) => Uint8Array): readonly Question[] =>
    possibleTargets(ports.routing().targets, name, version).map((target) => ({
      ...target,
      framed: target.model === name && target.version === version ? framed : frame(encode({ name: target.model, version: target.version })),
    }))

  const statisticsOf = (named: Named, framed: Uint8Array): readonly Question[] =>
    named.name === ''
      ? [{ model: ANY_MODEL, version: '', framed }]
      : questionsOf(named, framed, (one) => ModelStatisticsRequest.encode(one).finish())

  const answerOf = (what: LocalAnswer, path: string, framed: Uint8Array): Promise<Answer> => {
    const message = framed.subarray(5)
    const ofAll = [{ model: ANY_MODEL, version: '', framed }]
    switch (what) {
      case 'server-live':
        return any(ofAll, path, (said) => ServerLiveResponse.decode(said).live)
      case 'server-ready':
        return any(ofAll, path, (said) => ServerReadyResponse.decode(said).ready)
      case 'model-ready':
        return any(
          questionsOf(ModelReadyRequest.decode(message), framed, (named) => ModelReadyRequest.encode(named).finish()),
          path,
          (said) => ModelReadyResponse.decode(said).ready,
        )
      case 'repository-index':
        return all(ofAll, path, (said) =>
          RepositoryIndexResponse.encode(mergeIndexes(said.map((one) => RepositoryIndexResponse.decode(one)))).finish(),
        )
      case 'model-statistics':
        return all(statisticsOf(ModelStatisticsRequest.decode(message), framed), path, (said) =>
          ModelStatisticsResponse.encode(sumStatistics(said.map((one) => ModelStatisticsResponse.decode(one)))).finish(),
        )
      default:
        return what satisfies never
    }
  }

  return (what, path, framed, exchange) => {
    if (framed.length < 5 || framed[0] !== 0)
      return exchange.answerError(REFUSALS['illegal-message'].grpc, 'the request is not one plain gRPC message')
    answerOf(what, path, framed).then(
      (answer) => {
        if (answer.message === undefined) exchange.answerError(answer.status, answer.detail)
        else exchange.answerMessage(responseHead(), frame(answer.message))
      },
      () => exchange.answerError(REFUSALS['illegal-message'].grpc, 'illegal protobuf'),
    )
  }
}

const NOBODY: Answer = { status: REFUSALS['no-ready-endpoint'].grpc, detail: 'no endpoint serves', message: undefined }

type Answer = { readonly status: number; readonly detail: string; readonly message: Uint8Array | undefined }

const ANY_MODEL = '*'

type Named = { readonly name: string; readonly version: string }
/** What endpoints of a model, or all of them, are asked, framed. */
type Question = { readonly model: string; readonly version: string; readonly framed: Uint8Array }

/** Endpoints to ask for a model, or all of them for `*`, those in the best tier first; bounded, since each costs a call. */
function servingSlots(routing: RoutingTable, { model, version }: Question): readonly EndpointSlot[] {
  const wanted =
    model === ANY_MODEL
      ? routing.slots.filter(({ endpoint }) => endpoint.protocol === 'KSERVE_GRPC')
      : (routing.candidatesFor(model, version)?.slots ?? [])
  const usable = wanted.filter(({ endpoint }) => endpoint.state !== 'STARTING' && endpoint.state !== 'FAILED')
  return [...usable].sort((a, b) => Number(a.awayFor !== undefined) - Number(b.awayFor !== undefined)).slice(0, limits.fanOutMax)
}

function frame(message: Uint8Array): Uint8Array {
  const framed = Buffer.alloc(5 + message.length)
  framed.writeUInt32BE(message.length, 1)
  framed.set(message, 5)
  return framed
}
