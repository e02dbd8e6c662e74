/**
 * Says what a message of the kernel tells of a GPU: an Xid, a GPU that fell off the bus, a new boot, or nothing. A message counts only where the NVIDIA
 * driver's own name begins it, so that a process cannot speak for the driver by its own name. Never throws, whatever the bytes.
 */
import { XidAction } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { busIdCell } from './parse-cells.ts'
import { actionOf, meaningOf, RECOVERY_CHANGED, recoveryActionOf } from './xids.ts'

export type GpuNews = {
  readonly kind: 'gpu'
  /** As nvidia-smi writes it. */
  readonly pciBusId: string
  /** Absent when the driver gave none. */
  readonly xid: number | undefined
  readonly action: XidAction
  /** For a person, without the cure. */
  readonly words: string
  /** The driver asks for nothing any more. */
  readonly lifted: boolean
}

export type KernelNews = GpuNews | { readonly kind: 'boot' }

/** A GPU that was named by a message whose end may follow in the driver's next ones. */
export type Unfinished = { readonly pciBusId: string; readonly linesLeft: number } | undefined

export type Read = { readonly news: KernelNews | undefined; readonly unfinished: Unfinished }

const DRIVER = 'NVRM: '
const BOOT = /^Linux version \d/
/** A slice of a GPU (`GPU-I:05`) is named behind its GPU. */
const XID = /^Xid \((?:PCI:)?([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})(?:\.[0-9a-f])?(?: [^)]{1,40})?\): (\d{1,5})(?:, (.*))?$/i
const PROCESS = /^pid='?[^,]{1,40}, (?:name=[^,]{0,40}, )?/
const RECOVERY = /changed from .{1,60} to 0x([0-9a-f]{1,4}) \(([^)]{1,40})\)/i
const OFF_THE_BUS = /^GPU ([0-9a-f:.]{7,16}): GPU has fallen off the bus/i
const NAMED = /^The NVIDIA GPU (\S{1,40})/
const NAMED_OFF = /fallen off the bus/
/** Others' messages may stand between, the driver's own few. */
const LINES_OF_ONE_MESSAGE = 4
const WORDS_MAX = 120

export function readKernelMessage(unfinished: Unfinished, text: string): Read {
  if (BOOT.test(text)) return { news: { kind: 'boot' }, unfinished: undefined }
  if (!text.startsWith(DRIVER)) return { news: undefined, unfinished }
  const said = text.slice(DRIVER.length).trim()
  if (said === '') return { news: undefined, unfinished }
  const named = NAMED.exec(said)
  if (named !== null) return onNamed(busIdCell(named[1] ?? ''), said)
  if (unfinished !== undefined && NAMED_OFF.test(said) && !OFF_THE_BUS.test(said))
    return { news: offTheBus(unfinished.pciBusId), unfinished: undefined }
  return { news: xidOf(said) ?? offTheBusOf(said), unfinished: shorter(unfinished) }
}

const onNamed = (pciBusId: string | undefined, said: string): Read => {
  if (pciBusId === undefined) return { news: undefined, unfinished: undefined }
  if (NAMED_OFF.test(said)) return { news: offTheBus(pciBusId), unfinished: undefined }
  return { news: undefined, unfinished: { pciBusId, linesLeft: LINES_OF_ONE_MESSAGE } }
}

const shorter = (unfinished: Unfinished): Unfinished =>
  unfinished === undefined || unfinished.linesLeft <= 1 ? undefined : { ...unfinished, linesLeft: unfinished.linesLeft - 1 }

function offTheBusOf(said: string): GpuNews | undefined {
  const pciBusId = busIdCell(OFF_THE_BUS.exec(said)?.[1] ?? '')
  return pciBusId === undefined ? undefined : offTheBus(pciBusId)
}

const offTheBus = (pciBusId: string): GpuNews => ({
  kind: 'gpu',
  pciBusId,
  xid: undefined,
  action: XidAction.XID_ACTION_REBOOT_NODE,
  words: 'GPU has fallen off the bus',
  lifted: false,
})

function xidOf(said: string): GpuNews | undefined {
  const parts = XID.exec(said)
  const pciBusId = busIdCell(`${parts?.[1] ?? ''}.0`)
  if (parts === null || pciBusId === undefined) return undefined
  const xid = Number(parts[2])
  const words = plain((parts[3] ?? '').replace(PROCESS, ''))
  if (xid === RECOVERY_CHANGED) return { kind: 'gpu', pciBusId, xid, ...recovery(words) }
  return { kind: 'gpu', pciBusId, xid, action: actionOf(xid), words: meaningOf(xid) ?? words, lifted: false }
}

function recovery(words: string): Pick<GpuNews, 'action' | 'words' | 'lifted'> {
  const parts = RECOVERY.exec(words)
  const action = parts === null ? XidAction.XID_ACTION_UNSPECIFIED : recoveryActionOf(Number.parseInt(parts[1] ?? '', 16))
  if (action === XidAction.XID_ACTION_NONE) return { action, words: 'the driver asks for nothing any more', lifted: true }
  return { action, words: parts === null ? words : `the driver asks for "${parts[2]}"`, lifted: false }
}

/** What a person sees in reports and logs has one line of plain letters. */
const plain = (text: string): string =>
  text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, WORDS_MAX) || 'without words'
