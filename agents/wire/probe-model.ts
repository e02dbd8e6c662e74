/** Asks one model for one tiny inference, as its owner says or as the model itself tells what it takes. */
import { limits } from '../../core/limits.ts'
import type { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import type { ServerSpec } from '../discovery/server-spec.ts'
import { givenRequest } from '../probe/given-request.ts'
import { type HttpQuestion, usualQuestion } from '../probe/probe-wish.ts'
import { type ModelFacts, tinyRequest } from '../probe/tiny-request.ts'
import type { Outcome } from '../probe/weigh-answer.ts'
import { type HttpAnswer, httpAsk } from './http-ask.ts'
import type { KserveClient } from './kserve-client.ts'

export type Asked = { readonly outcome: Outcome; readonly tried: boolean } | { readonly senseless: string }

export type Prober = {
  /** `answered`: the model answered such a question before. */
  ask(model: string, answered: boolean): Promise<Asked>
  /** The server may be another one now. */
  forget(): void
  /** Gives up what is under way. */
  close(): void
}

/** `drawId`: a sequence that belongs to nobody else. */
export function prober(spec: ServerSpec, kserve: KserveClient | undefined, drawId: () => bigint): Prober {
  const known = new Map<string, ModelFacts>()
  const stop = new AbortController()
  return {
    async ask(model, answered) {
      const question = spec.probe.questions[model]
      if (question === 'off') return { senseless: 'its owner wants no probe' }
      if (question !== undefined && 'path' in question) return overHttp(spec, question, stop.signal)
      const usual = usualQuestion(spec.kind, model)
      if (usual !== undefined) return overHttp(spec, usual, stop.signal)
      if (kserve === undefined) return { senseless: 'a server of this kind is asked only what its owner writes' }
      const facts = known.get(model) ?? (await kserve.facts(model))
      const told = 'kind' in facts ? undefined : facts
      if (told !== undefined) known.set(model, told)
      let request: ModelInferRequest
      // What the owner wrote can also be asked of a server that tells nothing of its models.
      if (question !== undefined) request = givenRequest(model, question)
      else if ('kind' in facts) return { outcome: facts, tried: answered }
      else {
        const made = tinyRequest(facts, drawId())
        if ('senseless' in made) return made
        request = made.request
      }
      const outcome = await kserve.infer(request, told?.decoupled ?? false, spec.probe.timeout)
      // What it takes may have changed with a new version.
      if (outcome.kind !== 'answered') known.delete(model)
      return { outcome, tried: answered || question !== undefined }
    },
    forget: () => known.clear(),
    close: () => stop.abort(),
  }
}

async function overHttp(spec: ServerSpec, { path, body }: HttpQuestion, signal: AbortSignal): Promise<Asked> {
  const post = { json: JSON.stringify(body ?? {}), signal }
  const answer = await httpAsk(`http://${spec.http}${path}`, spec.probe.timeout, limits.localMessageMax, post)
  return { outcome: outcomeOf(answer, spec), tried: true }
}

function outcomeOf(answer: HttpAnswer, spec: ServerSpec): Outcome {
  switch (answer.kind) {
    case 'answer':
      return answer.status === 200 ? { kind: 'answered' } : { kind: 'http', status: answer.status }
    case 'timeout':
      return { kind: 'timeout', after: spec.probe.timeout }
    case 'refused':
      return { kind: 'refused' }
    case 'too-large':
      return { kind: 'answered' }
    case 'broken':
      return answer
    default:
      return answer satisfies never
  }
}
