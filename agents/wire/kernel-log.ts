/**
 * Follows the kernel's log from the first place that can be read, and says once in words when none can, with what would grant it. A place that ends is
 * taken up again where it was left: what was read once is not read again, or a fault that somebody has cleared would come back.
 */
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { KernelText } from '../gpu/kernel-text.ts'
import { pathSource, programSource, type Source } from './kernel-sources.ts'

export type KernelLogOptions = {
  readonly sources: readonly Source[]
  readonly log: Logger
  readonly onText: (text: KernelText, old: boolean) => void
  readonly onOverrun: () => void
}

export type KernelLog = {
  /** Where it is read from; undefined while it is not. */
  source(): string | undefined
  close(): void
}

const CURE =
  'GPU faults are known from nvidia-smi only; grant CAP_SYSLOG or the group systemd-journal, or name a file with the log by --kernel-log'

/** `auto`, `off`, or the path of a file, a FIFO or a device. */
export function sourcesOf(setting: string): readonly Source[] {
  if (setting === 'off') return []
  if (setting !== 'auto') return [pathSource(setting)]
  return [
    pathSource('/dev/kmsg'),
    programSource('journalctl', ['-k', '-q', '-f', '--lines=all', '-o', 'short-monotonic', '--no-pager']),
    programSource('dmesg', ['--follow']),
  ]
}

export function followKernelLog({ sources, log, onText, onOverrun }: KernelLogOptions): KernelLog {
  const reasons = new Map<string, string>()
  let reading: string | undefined
  let stop = (): void => {}
  let timer: NodeJS.Timeout | undefined
  let readUpTo: Millis | undefined
  let told = false
  let closed = false

  const tryNext = (at: number): void => {
    const source = sources[at]
    if (source !== undefined) return attempt(source, at)
    if (!told) log.warn({ tried: Object.fromEntries(reasons), cure: CURE }, 'kernel-log.unreadable')
    told = true
    // One that was named may come yet, as a volume does that is mounted late, and one that was read may come back; rights do not.
    if (sources.length === 1 || readUpTo !== undefined) timer = setTimeout(() => tryNext(0), limits.kernelLogAgain)
  }

  const attempt = (source: Source, at: number): void => {
    let over = false
    const resumedAfter = readUpTo
    const end = (why: string): void => {
      if (over || closed) return
      over = true
      clearTimeout(timer)
      reasons.set(source.name, why)
      if (reading === undefined) return tryNext(at + 1)
      reading = undefined
      log.warn({ source: source.name, why }, 'kernel-log.ended')
      timer = setTimeout(() => attempt(source, at), limits.kernelLogAgain)
    }
    timer = setTimeout(() => {
      stop()
      end('prints nothing')
    }, limits.kernelLogStart)
    stop = source.open({
      onOpen() {
        if (over || closed) return
        clearTimeout(timer)
        reading = source.name
        told = false
        log.info({ source: source.name }, 'kernel-log.reading')
      },
      onText(text, old) {
        if (over || closed) return
        if (resumedAfter !== undefined && text.at !== undefined && text.at <= resumedAfter) return
        readUpTo = text.at ?? readUpTo
        onText(text, old)
      },
      onOverrun,
      onEnd: end,
    })
  }

  if (sources.length > 0) tryNext(0)
  return {
    source: () => reading,
    close() {
      closed = true
      clearTimeout(timer)
      stop()
    },
  }
}
