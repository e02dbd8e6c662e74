/** What would be lost with a report that waits and was not read yet. Looks at the top level of its bytes only. */
import { BinaryReader } from '@bufbuild/protobuf/wire'

/** The more, the worse to lose. `beat`: that its node lives, which the next says too. `full`: nothing of its node is known without one. */
const WORTH = { beat: 0, news: 1, full: 2 } as const

const FULL = 5
/** gpus, endpoints, events, gpu_telemetry_reason */
const NEWS: readonly number[] = [8, 9, 11, 13]

function worthOf(bytes: Uint8Array): number {
  let worth: number = WORTH.beat
  try {
    const reader = new BinaryReader(bytes)
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag()
      if (field === FULL) {
        if (reader.bool()) return WORTH.full
        continue
      }
      if (NEWS.includes(field)) worth = WORTH.news
      reader.skip(type)
    }
  } catch {
    return WORTH.beat
  }
  return worth
}

/** Which of a node's reports goes when there are too many: the oldest of those that carry least. */
export function leastWorth(reports: readonly Uint8Array[]): number {
  const worths = reports.map(worthOf)
  return worths.indexOf(Math.min(...worths))
}
