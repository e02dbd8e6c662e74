/** How a server's owner wants it probed, and what a model is asked where it cannot say itself what it takes. */

import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { ServerKind } from '../backend/kinds.ts'
import type { GivenRequest } from './given-request.ts'

/** A POST of JSON to the server's HTTP port. */
export type HttpQuestion = { readonly path: string; readonly body?: unknown }

export type Question = 'off' | GivenRequest | HttpQuestion

export type ProbeWish = {
  /** False: that a model says that it is ready has to do. */
  readonly deep: boolean
  readonly period: Millis
  readonly timeout: Millis
  readonly questions: Readonly<Record<string, Question>>
}

export const USUAL_PROBE: ProbeWish = { deep: true, period: limits.deepProbePeriod, timeout: limits.deepProbeTimeout, questions: {} }

/** The cheapest question that every server of the kind takes over HTTP; undefined where only its owner can know one. */
export function usualQuestion(kind: ServerKind, model: string): HttpQuestion | undefined {
  switch (kind) {
    case 'vllm':
    case 'sglang':
    case 'llama-cpp':
      return { path: '/v1/completions', body: { model, prompt: 'a', max_tokens: 1 } }
    case 'tgi':
      return { path: '/generate', body: { inputs: 'a', parameters: { max_new_tokens: 1 } } }
    case 'triton':
    case 'torchserve':
    case 'ray-serve':
    case 'tf-serving':
      return undefined
    default:
      return kind satisfies never
  }
}
