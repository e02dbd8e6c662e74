/**
 * Everything that a real nvidia-smi was seen to print, with one byte changed, taken out or put in. No reader throws. A fact changes only when its own cell
 * was touched: what was unknown stays unknown otherwise, and nothing is 0 but what reads as a 0. With many bytes changed, what is read stays in its range.
 */
import { parseSmiLine } from '../../agents/gpu/parse-line.ts'
import { parseList } from '../../agents/gpu/parse-list.ts'
import { FULL_QUERY } from '../../agents/gpu/query.ts'
import { appCaptures, listCaptures, rowCaptures, xmlCaptures } from '../captures/read-captures.ts'
import type { Draw } from './draw.ts'
import { type Known, knownApps, knownRow, knownXml, type Reader, readApps, readRow, readXml, type Span } from './smi-facts.ts'
import { type Counts, must, type Play, type Target } from './target.ts'

const FAILURES = [
  "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.",
  'Failed to initialize NVML: Driver/library version mismatch',
  'NVML library version: 610.43',
  'Failed to initialize NVML: Unknown Error',
  'No devices were found',
  'Field "gpu_recovery_action" is not a valid field to query.',
  'Unable to determine the device handle for GPU 0000:0C:00.0: GPU is lost.  Reboot the system to recover this GPU',
  'Unable to determine the device handle for GPU1: 0000:34:00.0: Unknown Error',
  'Unable to determine the device handle for GPU0000:CB:00.0: Unknown Error',
  'WARNING: infoROM is corrupted at gpu 0000:00:1E.0',
]

/** Cells that nobody has a value for, in a row that has all of them. */
const SILENT = FULL_QUERY.map(({ name }) =>
  name === 'index' ? '0' : name === 'uuid' ? 'GPU-b42dd28e-ffdd' : name === 'pci.bus_id' ? '00000000:18:00.0' : '[N/A]',
).join(', ')

type Corpus = {
  readonly rows: readonly Known[]
  readonly xml: readonly Known[]
  readonly apps: readonly Known[]
  readonly lists: readonly string[]
}

/** Read once, when the target is first played. */
let read: Corpus | undefined
const corpus = (): Corpus => {
  read ??= {
    rows: [...rowCaptures().flatMap(([, lines]) => lines), SILENT].map(knownRow),
    xml: xmlCaptures().map(([, text]) => knownXml(text)),
    apps: appCaptures().map(([, text]) => knownApps(text)),
    lists: listCaptures().map(([, text]) => text),
  }
  return read
}

type Edit = { readonly at: number; readonly removed: number; readonly inserted: string }

/** Bytes that mean something to one of the readers, and any other; half a character comes out of the decoder as U+FFFD. */
const drawByte = (draw: Draw): string => {
  const byte = draw.oneIn(2) ? draw.pick([...'0159-.,[]<>&/"\' xEN\n\t']).charCodeAt(0) : draw.below(256)
  return byte < 128 ? String.fromCharCode(byte) : '\uFFFD'
}

function drawEdit(draw: Draw, text: string): Edit {
  const at = draw.below(text.length)
  const kind = draw.below(3)
  return { at, removed: kind === 0 ? 0 : 1, inserted: kind === 1 ? '' : drawByte(draw) }
}

const edited = (text: string, { at, removed, inserted }: Edit): string => text.slice(0, at) + inserted + text.slice(at + removed)

/** What is put in between two cells touches both. */
const touches = ({ at, removed }: Edit, [from, to]: Span): boolean => at <= to && at + removed >= from

const ZERO = /^-?(0x)?0+(\.0+)?( ?(MiB|%|W|MHz))?$/i
const inner = (cell: string): string => cell.replace(/^[\s,]*(<[^<>]*>)?|(<[^<>]*>)?[\s,]*$/g, '').trim()

function oneByte(draw: Draw, known: Known, reader: Reader): void {
  const edit = drawEdit(draw, known.text)
  const text = edited(known.text, edit)
  const grown = edit.inserted.length - edit.removed
  const told = `${JSON.stringify(edit)} in ${JSON.stringify(known.text.slice(Math.max(0, edit.at - 60), edit.at + 60))}`
  const renamed = known.names.some((cell) => touches(edit, cell))
  for (const [name, value] of Object.entries(reader(text))) {
    if (value === undefined || value === known.facts[name]) continue
    if (renamed && isCopy(known, name, value)) continue
    const touched = known.cells[name]?.filter((cell) => touches(edit, cell)) ?? []
    must(touched.length > 0, `${name} became ${value}, its cell untouched: ${told}`)
    if (typeof value === 'boolean' || Number(value) !== 0) continue
    must(
      touched.some(([from, to]) => ZERO.test(inner(text.slice(from, to + grown)))),
      `${name} became 0 without a 0: ${told}`,
    )
  }
}

/** The same fact of a GPU or process that goes by another name now. */
const isCopy = (known: Known, name: string, value: unknown): boolean => {
  const what = name.replace(/^\S+ /, '')
  return Object.entries(known.facts).some(([one, was]) => one.replace(/^\S+ /, '') === what && was === value)
}

function storm(draw: Draw): number {
  const { rows, xml, apps, lists } = corpus()
  let text = draw.pick([...rows, ...apps, draw.pick(xml)]).text
  if (draw.oneIn(8)) text = draw.pick(lists)
  for (let edits = draw.between(2, 12); edits > 0 && text.length > 0; edits--) text = edited(text, drawEdit(draw, text))
  const { utilization, memoryUtilization } = readRow(text)
  for (const share of [utilization, memoryUtilization])
    must(share === undefined || (Number(share) >= 0 && Number(share) <= 1), `a share of ${share} from ${JSON.stringify(text)}`)
  readXml(text)
  readApps(text)
  parseList(text)
  return text.split('\n').length
}

function list(draw: Draw): void {
  const text = draw.pick(corpus().lists)
  const known = parseList(text)
  const changed = parseList(edited(text, drawEdit(draw, text)))
  must(changed.length <= known.length, `${changed.length} instances out of ${known.length}`)
}

function failure(draw: Draw): void {
  const line = draw.pick(FAILURES)
  for (const part of edited(line, drawEdit(draw, line)).split('\n'))
    must(parseSmiLine(part, FULL_QUERY).kind !== 'gpu', `a GPU out of ${JSON.stringify(part)}`)
}

const lines = ({ text }: Known): number => text.split('\n').length

class SmiPlay implements Play {
  readonly moves: Play['moves']

  /** A frame is a line that was read. */
  constructor(counts: Counts) {
    const counted =
      (act: (draw: Draw) => number) =>
      (draw: Draw): void => {
        counts.frames += act(draw)
      }
    const oneOf = (kind: 'rows' | 'xml' | 'apps', reader: Reader) =>
      counted((draw) => {
        const known = draw.pick(corpus()[kind])
        oneByte(draw, known, reader)
        return lines(known)
      })
    const single = (act: (draw: Draw) => void) =>
      counted((draw) => {
        act(draw)
        return 1
      })
    this.moves = {
      row: oneOf('rows', readRow),
      xml: oneOf('xml', readXml),
      apps: oneOf('apps', readApps),
      storm: counted(storm),
      list: single(list),
      failure: single(failure),
    }
  }

  end(): void {}
}

export const smiTarget: Target = {
  name: 'smi',
  about: 'what nvidia-smi printed, with bytes changed: no reader throws, and what is unknown stays unknown',
  stepsMax: 60,
  weights: { row: 20, xml: 0.6, apps: 2, storm: 2, list: 2, failure: 4 },
  start: (_draw, counts) => new SmiPlay(counts),
}
