/** Asks the inference server which models it has ready: over gRPC, or on the page where its kind lists them. */
import { limits } from '../../core/limits.ts'
import { KINDS, type ServerKind } from '../backend/kinds.ts'
import { readModelNames } from '../backend/model-names.ts'
import { type ServerSpec, urlOf } from '../discovery/server-spec.ts'
import { httpAsk } from './http-ask.ts'

export type ModelLister = {
  /** Undefined when the server does not say; `refused` when the port where it is asked, and where requests go, is closed. */
  list(): Promise<readonly string[] | undefined | 'refused'>
}

/** Undefined for a kind that has no list, or none that can be reached. `kserve`: the client of a server that speaks KServe. */
export function modelLister(spec: ServerSpec, kserve: ModelLister | undefined): ModelLister | undefined {
  const { models } = KINDS[spec.kind]
  switch (models.from) {
    case 'kserve-index':
      return kserve
    case 'page': {
      const url = urlOf(spec, models)
      return url === undefined ? undefined : pageLister(spec.kind, url)
    }
    case 'told':
      return undefined
    default:
      return models satisfies never
  }
}

const pageLister = (kind: ServerKind, url: string): ModelLister => ({
  async list() {
    const answer = await httpAsk(url, limits.localCallTimeout, limits.localMessageMax)
    return answer.kind === 'answer' && answer.status === 200 ? readModelNames(kind, answer.body) : undefined
  },
})
