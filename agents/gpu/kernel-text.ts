/**
 * Cuts a kernel message out of the ways in which it is told: records of /dev/kmsg, lines of dmesg and journalctl, lines of a log file. What a process
 * may have put in front of a message never becomes a part of it, and a message says when it was written, if its source does.
 */
import { type Millis, millis } from '../../core/units.ts'

export type KernelText = {
  readonly text: string
  /** Since the host booted. */
  readonly at: Millis | undefined
}

const RECORD = /^(\d{1,10}),(\d{1,20}),(\d{1,20})[^;\n]{0,200};(.*)$/
/** `<6>`, `Feb 23 16:24:18 host kernel: `, `[  171.62] ` and what journalctl makes of them: each may be there or not. */
const PREFIX = /^(?:<\d{1,4}>)?(?:\[ {0,12}(\d{1,10}\.\d{1,9})\] )?(?:[^[\]]{1,200}? kernel: )?(?:\[([^\]]{1,60})\] )?/
const SECONDS = /^ {0,12}(\d{1,10}\.\d{1,9})$/

/** One read of /dev/kmsg is one record: numbers, the message, and lines of facts about the device, which begin with a space. */
export function readKmsgRecord(record: string): readonly KernelText[] {
  const [first = ''] = record.split('\n', 1)
  const parts = RECORD.exec(first)
  if (parts === null) return []
  const at = millis(Number(parts[3]) / 1_000)
  // The kernel writes a line break within a message as an escape.
  return (parts[4] ?? '').split('\\x0a').map((text) => ({ text, at }))
}

export function readLogLine(line: string): KernelText {
  const [prefix = '', outer, inner] = PREFIX.exec(line) ?? []
  const seconds = outer ?? SECONDS.exec(inner ?? '')?.[1]
  return { text: line.slice(prefix.length).trim(), at: seconds === undefined ? undefined : millis(Number(seconds) * 1_000) }
}
