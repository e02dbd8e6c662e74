/**
 * Loaded into a process before anything else (`node --import`): a timer each millisecond that fires late has seen a long turn of the event loop. Beside
 * the time on the clock it takes the CPU time that the thread used meanwhile, since a busy machine makes every process late.
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { isMainThread } from 'node:worker_threads'

/** Longest turns within one span: on the clock, and of CPU time; both in milliseconds. */
export type TurnSpan = { readonly at: number; readonly clock: number; readonly cpu: number }

const GRAIN_MS = 1
const SPAN_MS = 50
const folder = process.env.MILLRACE_TURN_PROBE

if (folder !== undefined && isMainThread) {
  const file = join(folder, `${process.pid}.jsonl`)
  const lines: string[] = []
  let last = performance.now()
  let lastCpu = process.threadCpuUsage()
  let spanEnd = last + SPAN_MS
  let clock = 0
  let cpu = 0
  const look = (): void => {
    const now = performance.now()
    const used = process.threadCpuUsage()
    const late = now - last - GRAIN_MS
    if (late > clock) clock = late
    cpu = Math.max(cpu, Math.min(late, (used.user + used.system - lastCpu.user - lastCpu.system) / 1_000))
    last = now
    lastCpu = used
    if (now < spanEnd) return
    lines.push(JSON.stringify({ at: performance.timeOrigin + now, clock, cpu } satisfies TurnSpan))
    clock = cpu = 0
    spanEnd = now + SPAN_MS
    // Written once a second: a write is a turn too.
    if (lines.length < 20) return
    appendFileSync(file, `${lines.splice(0).join('\n')}\n`)
    last = performance.now()
    lastCpu = process.threadCpuUsage()
  }
  setInterval(look, GRAIN_MS).unref()
}
