/**
 * What NVIDIA's catalogue of Xids asks to be done about each, as of the catalogue of October 2025. A number that it does not list, or lists without a
 * remedy, is no verdict: XID_ACTION_UNSPECIFIED.
 */
import { XidAction } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

const RESTART = [
  8, 11, 13, 25, 31, 32, 39, 40, 41, 60, 68, 69, 70, 71, 72, 75, 76, 77, 80, 82, 83, 84, 85, 86, 88, 89, 94, 96, 97, 98, 99, 100, 101, 102,
  103, 104, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135, 139,
]
const RESET = [46, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158]
const REBOOT = [79]
/** Double-bit errors, links, power cables, software that does not fit: what to do depends on what else was seen. */
const WORKFLOW = [48, 54, 74, 78, 144, 145, 146, 147, 148, 149, 150, 151, 159]
/** 45 cleans up after another Xid, which is in the log too. */
const NONE = [14, 37, 38, 43, 44, 45, 63, 66, 67, 92, 93, 106, 107, 108, 121, 137, 141, 152, 153, 157, 160, 161]

const ACTIONS: ReadonlyMap<number, XidAction> = new Map(
  (
    [
      [RESTART, XidAction.XID_ACTION_RESTART_APPLICATION],
      [RESET, XidAction.XID_ACTION_RESET_GPU],
      [REBOOT, XidAction.XID_ACTION_REBOOT_NODE],
      [WORKFLOW, XidAction.XID_ACTION_WORKFLOW],
      [NONE, XidAction.XID_ACTION_NONE],
    ] as const
  ).flatMap(([xids, action]) => xids.map((xid): [number, XidAction] => [xid, action])),
)

/** Of those that take a GPU out of service; for others the kernel's own words do. */
const MEANINGS: Readonly<Record<number, string>> = {
  46: 'the GPU stopped processing',
  62: 'its internal controller halted',
  64: 'its memory could not be remapped',
  79: 'GPU has fallen off the bus',
  95: 'an uncontained memory error',
  109: 'a context switch timed out',
  110: 'a security fault',
  119: "the GPU's system processor does not answer",
  120: "an error of the GPU's system processor",
  136: 'an NVLink could not be trained',
  140: 'an ECC error that was not recovered',
  143: 'the GPU does not initialise',
  155: 'an error of NVLink',
  156: 'memory was retired',
  158: 'a fatal timeout',
}

/** By the number in the text of an Xid 154, as NVML counts them. */
const RECOVERIES: readonly XidAction[] = [
  XidAction.XID_ACTION_NONE,
  XidAction.XID_ACTION_RESET_GPU,
  XidAction.XID_ACTION_REBOOT_NODE,
  // Drain P2P: peers are to stop using it; nvidia-smi takes it from there.
  XidAction.XID_ACTION_WORKFLOW,
  XidAction.XID_ACTION_RESET_GPU,
]

/** The Xid by which a driver says that its recovery action changed. */
export const RECOVERY_CHANGED = 154

export const actionOf = (xid: number): XidAction => ACTIONS.get(xid) ?? XidAction.XID_ACTION_UNSPECIFIED

export const recoveryActionOf = (number: number): XidAction => RECOVERIES[number] ?? XidAction.XID_ACTION_UNSPECIFIED

export const meaningOf = (xid: number): string | undefined => MEANINGS[xid]

/** The GPU is of no use until somebody has done something. */
export const disables = (action: XidAction): boolean =>
  action === XidAction.XID_ACTION_RESET_GPU || action === XidAction.XID_ACTION_REBOOT_NODE

const NO_REMEDY = 'the catalogue names no remedy'

const CURES: Readonly<Record<XidAction, string>> = {
  [XidAction.XID_ACTION_UNSPECIFIED]: NO_REMEDY,
  [XidAction.XID_ACTION_RESTART_APPLICATION]: 'restart the application',
  [XidAction.XID_ACTION_RESET_GPU]: 'reset the GPU',
  [XidAction.XID_ACTION_REBOOT_NODE]: 'reboot the node',
  [XidAction.XID_ACTION_WORKFLOW]: "follow NVIDIA's workflow for it",
  [XidAction.XID_ACTION_NONE]: 'nothing to do',
  [XidAction.UNRECOGNIZED]: NO_REMEDY,
}

export const cureOf = (action: XidAction): string => CURES[action]
