/** From a page's text to what it says, by the kind of the server; and from a page to the kind. */
import type { Millis } from '../../core/units.ts'
import type { ServerKind } from './kinds.ts'
import { llamaCpp } from './llama-cpp.ts'
import type { LoadReader } from './load-reader.ts'
import { namesOn, type Page, parsePage } from './prometheus-text.ts'
import { rayServe } from './ray-serve.ts'
import type { Reading } from './reading.ts'
import { sglang } from './sglang.ts'
import { tfServing } from './tf-serving.ts'
import { tgi } from './tgi.ts'
import { torchserve } from './torchserve.ts'
import { triton } from './triton.ts'
import { vllm } from './vllm.ts'

export const LOAD_READERS: Readonly<Record<ServerKind, LoadReader>> = {
  triton,
  vllm,
  sglang,
  tgi,
  torchserve,
  'ray-serve': rayServe,
  'tf-serving': tfServing,
  'llama-cpp': llamaCpp,
}

const readers = Object.values(LOAD_READERS)
const wanted = new Map(readers.map(({ kind, families }) => [kind, new Set(families)]))
const NOTHING: ReadonlySet<string> = new Set()
const EMPTY_PAGE: Page = { samples: new Map(), left: 0 }
const allFamilies = new Set(readers.flatMap(({ families }) => families))

/**
 * `bodies`: see LoadReader. A page that could not be read is '', and may still leave something to tell. Of a page with more samples than are kept nothing is
 * read, since half a sum is wrong; `left` says how many there were too many.
 */
export function readLoad(kind: ServerKind, text: string, bodies: readonly string[]): { readonly reading: Reading; readonly left: number } {
  const page = parsePage(text, wanted.get(kind) ?? NOTHING)
  return { reading: LOAD_READERS[kind].read(page.left > 0 ? EMPTY_PAGE : page, bodies), left: page.left }
}

/** Over which rates of the kind are to be taken; undefined: as usual. */
export const rateSpanOf = (kind: ServerKind): Millis | undefined => LOAD_READERS[kind].rateSpan

/** The kind whose families are on the page; undefined when none's are, or those of several. */
export function recogniseKind(text: string): ServerKind | undefined {
  const names = namesOn(text, allFamilies)
  const kinds = readers.filter((reader) => reader.recognise(names)).map(({ kind }) => kind)
  return kinds.length === 1 ? kinds[0] : undefined
}
