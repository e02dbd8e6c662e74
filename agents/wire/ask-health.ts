/** Asks a server's health page, once, or once for each model where the kind has no page for all of them: then one that is ready is enough. */
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { Evidence } from '../backend/endpoint-health.ts'
import { KINDS } from '../backend/kinds.ts'
import { type ServerSpec, urlOf } from '../discovery/server-spec.ts'
import type { HealthLine } from './health-line.ts'
import type { HttpAnswer } from './http-ask.ts'

export type HealthAnswer = { readonly evidence: Evidence; readonly took: Millis | undefined }

const NO_MODELS: HealthAnswer = {
  evidence: { kind: 'bad', reason: 'its health is asked model by model: name its models' },
  took: undefined,
}

export async function askHealth(spec: ServerSpec, models: readonly string[], line: HealthLine): Promise<HealthAnswer> {
  const { health } = KINDS[spec.kind]
  let last = NO_MODELS
  for (const model of health.path.includes('{model}') ? models : ['']) {
    const url = urlOf(spec, health, model)
    if (url === undefined) continue
    const answer = await line.ask(url)
    last = { evidence: weigh(answer, health.ready), took: answer.kind === 'answer' ? answer.took : undefined }
    if (last.evidence.kind === 'ready' || last.evidence.kind === 'refused') return last
  }
  return last
}

function weigh(answer: HttpAnswer, ready: ((body: string) => boolean) | undefined): Evidence {
  switch (answer.kind) {
    case 'answer':
      if (answer.status !== 200) return { kind: 'bad', reason: `not ready (HTTP ${answer.status})` }
      return ready === undefined || ready(answer.body) ? { kind: 'ready' } : { kind: 'bad', reason: 'not ready, as its health page says' }
    case 'refused':
      return { kind: 'refused' }
    case 'timeout':
      return { kind: 'slow', reason: `no answer within ${limits.probeTimeout} ms` }
    case 'too-large':
      return { kind: 'bad', reason: 'a health answer without end' }
    case 'broken':
      return { kind: 'bad', reason: answer.detail }
    default:
      return answer satisfies never
  }
}
