/**
 * Keeps in a file which GPU faults of this boot are over, for the agent that starts next: it reads the kernel's log of the boot again. What another boot
 * left, or what does not read as such a file, is nothing.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import type { Logger } from '../../core/edge/log.ts'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import type { FaultMemory } from './watch-faults.ts'

const BOOT_ID = '/proc/sys/kernel/random/boot_id'
const FILE = 'gpu-faults-over.json'

/** `over`: milliseconds since the boot, by place on the bus. */
const schema = z.object({ bootId: z.string(), over: z.record(z.string().max(32), z.number().nonnegative()) })

export function faultMemory(folder: string, log: Logger, bootId = readBootId()): FaultMemory {
  const path = join(folder, FILE)
  return {
    load() {
      try {
        const read = schema.parse(JSON.parse(readFileSync(path, 'utf8')))
        if (bootId === undefined || read.bootId !== bootId) return new Map()
        const rows = Object.entries(read.over).slice(0, limits.gpusPerNodeMax)
        return new Map(rows.map(([pciBusId, at]) => [pciBusId, millis(at)]))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') log.warn({ path, err: error }, 'gpu-faults.memory-unreadable')
        return new Map()
      }
    },
    save(over) {
      if (bootId === undefined) return
      try {
        mkdirSync(folder, { recursive: true })
        writeFileSync(`${path}.new`, JSON.stringify({ bootId, over: Object.fromEntries(over) }))
        renameSync(`${path}.new`, path)
      } catch (error) {
        log.warn({ path, err: error }, 'gpu-faults.memory-unwritable')
      }
    },
  }
}

/** Undefined on a host that does not tell boots apart: nothing is remembered there. */
function readBootId(): string | undefined {
  try {
    return readFileSync(BOOT_ID, 'latin1').trim()
  } catch {
    return undefined
  }
}
