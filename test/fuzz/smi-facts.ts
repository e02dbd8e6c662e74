/**
 * Where in a text of nvidia-smi each fact stands, found by another way than the parsers go: cells by counting commas, elements by a walk over the tags. So
 * a fuzzer can say of a changed fact whether its own cell was touched.
 */
import { parseComputeApps } from '../../agents/gpu/parse-compute-apps.ts'
import { parseSmiLine } from '../../agents/gpu/parse-line.ts'
import { type Column, FULL_QUERY } from '../../agents/gpu/query.ts'
import { readDetails } from '../../agents/gpu/read-details.ts'
import { parseLog } from '../../agents/wire/parse-xml.ts'

export type Span = readonly [from: number, to: number]
/** By name; `undefined` is unknown. */
export type Facts = Readonly<Record<string, unknown>>
/** A text, what is read out of it, and which places belong to which fact. */
export type Known = {
  readonly text: string
  readonly facts: Facts
  readonly cells: Readonly<Record<string, readonly Span[]>>
  /** Cells that facts are called by (`GPU-… eccCorrected`): when one is touched, its facts go by another name. */
  readonly names: readonly Span[]
}
export type Reader = (text: string) => Facts

const FIELDS: Readonly<Partial<Record<Column, string>>> = {
  memoryTotal: 'memoryTotalBytes',
  memoryUsed: 'memoryUsedBytes',
  temperature: 'temperatureCelsius',
  powerDraw: 'powerDrawWatts',
  powerLimit: 'powerLimitWatts',
  smClock: 'smClockMhz',
  smClockMax: 'smClockMaxMhz',
  migMode: 'migEnabled',
}

/** `state` follows from all cells, a pid is a name, and instances are facts one by one. */
const NO_FACTS = new Set(['state', 'stateReason', 'migInstances', 'pid'])

const facts = (from: object, prefix = ''): Facts =>
  Object.fromEntries(
    Object.entries(from)
      .filter(([name]) => !NO_FACTS.has(name))
      .map(([name, value]) => [`${prefix}${name}`, value === '' ? undefined : value]),
  )

/** Lines as a reader of the output would cut them; the first that is a row counts, a second one would be an invention. */
export const readRow: Reader = (text) => {
  const rows = text.split('\n').flatMap((line) => {
    const parsed = parseSmiLine(line, FULL_QUERY)
    return parsed.kind === 'gpu' ? [parsed.gpu] : []
  })
  return { rows: rows.length > 1 ? rows.length : undefined, ...facts(rows[0] ?? {}) }
}

export function knownRow(text: string): Known {
  const spans = cellSpans(text, 0, FULL_QUERY.length)
  return {
    text,
    facts: readRow(text),
    // A comma at the end of the last cell before the name becomes a part of the name.
    cells: Object.fromEntries(
      FULL_QUERY.map(({ column }, at) => [FIELDS[column] ?? column, spans.slice(column === 'name' ? at - 1 : at, at + 1)]),
    ),
    names: [],
  }
}

/** By pid. */
export const readApps: Reader = (text) => Object.assign({}, ...(parseComputeApps(text) ?? []).map((app) => facts(app, `${app.pid} `)))

export function knownApps(text: string): Known {
  const cells: Record<string, readonly Span[]> = {}
  const names: Span[] = []
  let from = 0
  for (const line of text.split('\n')) {
    const [gpuUuid, pid, used, name] = cellSpans(line, from, 4)
    from += line.length + 1
    if (gpuUuid === undefined || pid === undefined || used === undefined || name === undefined) continue
    names.push(pid)
    const key = text.slice(...pid).trim()
    Object.assign(cells, { [`${key} gpuUuid`]: [gpuUuid], [`${key} usedMemoryBytes`]: [used], [`${key} processName`]: [used, name] })
  }
  return { text, facts: readApps(text), cells, names }
}

/** By uuid, and instances by their order. */
export const readXml: Reader = (text) => {
  const log = parseLog(text)
  const all = log === undefined ? [] : [...readDetails(log)]
  return Object.assign(
    {},
    ...all.map(([uuid, gpu]) => ({
      ...facts(gpu, `${uuid} `),
      ...Object.assign({}, ...gpu.migInstances.map((instance, at) => facts(instance, `${uuid} mig ${at} `))),
    })),
  )
}

const XML_CELLS: Readonly<Record<string, RegExp>> = {
  recoveryAction: /^(gpu_recovery_action|gpu_reset_status\/.*)$/,
  eccCorrected: /^ecc_errors\/volatile\/(single_bit\/total|[ds]ram_correctable)$/,
  eccUncorrected: /^ecc_errors\/volatile\/(double_bit\/total|[ds]ram_uncorrectable.*)$/,
  remapPending: /^remapped_rows\/remapped_row_pending$/,
  performanceState: /^performance_state$/,
  migEnabled: /^mig_mode\/current_mig$/,
}
const MIG_CELLS: Readonly<Record<string, string>> = {
  index: 'index',
  gpuInstanceId: 'gpu_instance_id',
  computeInstanceId: 'compute_instance_id',
  memoryTotalBytes: 'fb_memory_usage/total',
  memoryUsedBytes: 'fb_memory_usage/used',
}

export function knownXml(text: string): Known {
  const cells: Record<string, readonly Span[]> = {}
  const names: Span[] = []
  for (const gpu of gpusOf(text)) {
    const { text: uuid, span } = gpu.find(({ path }) => path === 'uuid') ?? { text: '', span: [0, 0] }
    names.push(span)
    for (const [name, pattern] of Object.entries(XML_CELLS))
      cells[`${uuid} ${name}`] = gpu.filter(({ path }) => pattern.test(path)).map(({ span }) => span)
    for (const [name, end] of Object.entries(MIG_CELLS))
      for (const [at, leaf] of gpu.filter(({ path }) => path === `mig_devices/mig_device/${end}`).entries())
        cells[`${uuid} mig ${at} ${name}`] = [leaf.span]
  }
  return { text, facts: readXml(text), cells, names }
}

type Leaf = { readonly path: string; readonly text: string; readonly span: Span }

/** Of each GPU the elements without children, by their path below it. */
function gpusOf(text: string): readonly (readonly Leaf[])[] {
  const gpus: Leaf[][] = []
  const open: { readonly name: string; readonly from: number; readonly inside: number }[] = []
  for (const tag of text.matchAll(/<(\/?)([a-z_0-9A-Z]+)[^<>]*>/g)) {
    const [whole, closing, name = ''] = tag
    if (closing === '') {
      open.push({ name, from: tag.index, inside: tag.index + whole.length })
      if (name === 'gpu') gpus.push([])
      continue
    }
    const begun = open.pop()
    const depth = open.findIndex((one) => one.name === 'gpu')
    const inside = begun === undefined ? '' : text.slice(begun.inside, tag.index)
    if (begun === undefined || depth < 0 || inside.includes('<')) continue
    const path = [...open.slice(depth + 1).map((one) => one.name), name].join('/')
    gpus.at(-1)?.push({ path, text: inside.trim(), span: [begun.from, tag.index + whole.length] })
  }
  return gpus
}

/** The last cell takes what is left. */
function cellSpans(line: string, offset: number, count: number): Span[] {
  const spans: Span[] = []
  let from = 0
  while (spans.length < count) {
    const comma = spans.length === count - 1 ? -1 : line.indexOf(',', from)
    const to = comma < 0 ? line.length : comma
    spans.push([offset + from, offset + to])
    if (comma < 0) break
    from = comma + 1
  }
  return spans
}
