/**
 * The places where a kernel's log can be read: the device, a file or FIFO that somebody fills with its lines, a program that prints it. Each reads what it
 * still has of the time before, says of each message whether it is from then, and waits for more without holding a thread.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { Socket } from 'node:net'
import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import { type KernelText, readKmsgRecord, readLogLine } from '../gpu/kernel-text.ts'
import { cutLines, splitLines } from './split-lines.ts'

export type Taps = {
  readonly onText: (text: KernelText, old: boolean) => void
  /** The kernel has overwritten what was not read yet. */
  readonly onOverrun: () => void
  /** It can be read. */
  readonly onOpen: () => void
  /** Once, in words, not within `open`; nothing comes behind it. */
  readonly onEnd: (why: string) => void
}

export type Source = {
  readonly name: string
  /** Returns its stop. */
  open(taps: Taps): () => void
}

type Reader = { readonly read: () => 'more' | 'all'; readonly fd: () => number }

/** A device, a plain file or a FIFO, whichever the path is. */
export const pathSource = (path: string): Source => ({
  name: path,
  open(taps) {
    let fd: number
    try {
      // A FIFO that is also open for writing does not end when its writers go; a device does not wait.
      const fifo = statSync(path).isFIFO()
      fd = openSync(path, (fifo ? constants.O_RDWR : constants.O_RDONLY) | constants.O_NONBLOCK)
    } catch (error) {
      const failed = setImmediate(() => taps.onEnd(wordsOf(error)))
      return () => clearImmediate(failed)
    }
    taps.onOpen()
    const stats = fstatSync(fd)
    if (stats.isFIFO()) return followFifo(fd, taps)
    return keepReading(stats.isCharacterDevice() ? recordReader(fd, taps) : fileReader(path, fd, taps), taps)
  },
})

export const programSource = (program: string, argv: readonly string[]): Source => ({
  name: program,
  open(taps) {
    let lastWords = ''
    let at: Millis | undefined
    let opened: number | undefined
    const child: ChildProcess = spawn(program, argv, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } })
    if (child.stdout !== null)
      splitLines(child.stdout, (line) => {
        if (opened === undefined) taps.onOpen()
        opened ??= performance.now()
        const text = readLogLine(line)
        // The second line of a message has no time of its own.
        at = text.at ?? at
        // Not by the times: the kernel's clock drifts from the host's, and stands still while the host sleeps.
        taps.onText({ text: text.text, at }, performance.now() - opened < limits.kernelLogStart)
      })
    if (child.stderr !== null)
      splitLines(child.stderr, (line) => {
        lastWords = line.trim().slice(0, 200)
      })
    child.once('error', (error: NodeJS.ErrnoException) => taps.onEnd(wordsOf(error)))
    child.once('close', (code, signal) => {
      if (child.pid !== undefined) taps.onEnd(`ended with ${code ?? signal}${lastWords === '' ? '' : ` (${lastWords})`}`)
    })
    return () => void child.kill('SIGKILL')
  },
})

function followFifo(fd: number, taps: Taps): () => void {
  const socket = new Socket({ fd, readable: true, writable: false })
  splitLines(socket, (line) => taps.onText(readLogLine(line), false))
  socket.once('error', (error) => taps.onEnd(wordsOf(error)))
  return () => void socket.destroy()
}

/** Neither a file nor the device tells Node when there is more: they are asked. */
function keepReading(reader: Reader, taps: Taps): () => void {
  let over = false
  const turn = (): void => {
    if (over) return
    try {
      if (reader.read() === 'more') setImmediate(turn)
      else setTimeout(turn, limits.kernelLogPoll).unref()
    } catch (error) {
      stop()
      taps.onEnd(wordsOf(error))
    }
  }
  const stop = (): void => {
    if (!over) closeSync(reader.fd())
    over = true
  }
  setImmediate(turn)
  return stop
}

/** One read of the device is one record. It begins with the oldest that the kernel still has. */
function recordReader(fd: number, taps: Taps): Reader {
  const buffer = Buffer.alloc(limits.kernelLineMax)
  let old = true
  return {
    fd: () => fd,
    read() {
      for (let left = limits.kernelRecordsPerTurn; left > 0; left--)
        try {
          const record = buffer.toString('latin1', 0, readSync(fd, buffer))
          for (const text of readKmsgRecord(record)) taps.onText(text, old)
        } catch (error) {
          if (codeOf(error) === 'EPIPE') taps.onOverrun()
          else if (codeOf(error) !== 'EAGAIN') throw error
          else {
            old = false
            return 'all'
          }
        }
      return 'more'
    },
  }
}

/** Follows the path: a log that was rotated goes on in the new file of its name. */
function fileReader(path: string, opened: number, taps: Taps): Reader {
  const buffer = Buffer.alloc(limits.slabSize)
  let fd = opened
  let position = Math.max(0, fstatSync(fd).size - limits.kernelHistoryMax)
  let old = true
  const fresh = () => cutLines((line) => taps.onText(readLogLine(line), old))
  let lines = fresh()
  let leaving = false
  const isReplaced = (): boolean => {
    const now = statSync(path, { throwIfNoEntry: false })
    const open = fstatSync(fd)
    return now !== undefined && (now.ino !== open.ino || now.dev !== open.dev || open.size < position)
  }
  const change = (): void => {
    const next = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    closeSync(fd)
    fd = next
    position = 0
    lines = fresh()
  }
  return {
    fd: () => fd,
    read() {
      const size = readSync(fd, buffer, 0, buffer.length, position)
      position += size
      lines.add(buffer.toString('latin1', 0, size))
      if (size > 0) return 'more'
      old = false
      if (!isReplaced()) return 'all'
      // Once more, for what was written just before the change.
      if (leaving) change()
      leaving = !leaving
      return 'more'
    },
  }
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

function wordsOf(error: unknown): string {
  switch (codeOf(error)) {
    case 'ENOENT':
      return 'is not on this host'
    case 'EPERM':
    case 'EACCES':
      return 'this user may not read it'
    default:
      return (error as Error).message
  }
}
