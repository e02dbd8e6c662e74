/** What would be lost with a report that waits and was not read yet, and whether it is to wait at all. Looks at tags and a few numbers of its bytes only. */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { EndpointHealth, GpuState, GpuTelemetry } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'

/** The more, the worse to lose. `beat`: that its node lives, which the next says too. `full`: nothing of its node is known without one. */
const WORTH = { beat: 0, news: 1, full: 2 } as const

const FULL = 5
/** gpus, endpoints, events, gpu_telemetry_reason */
const NEWS: readonly number[] = [8, 9, 11, 13]

/** By number of field: what to think of its value (of a text or message its length), or the same of the message within. */
type Marks = { readonly [field: number]: Marks | ((value: number) => boolean) }

const UNWELL: readonly number[] = [EndpointHealth.ENDPOINT_HEALTH_STARTING, EndpointHealth.ENDPOINT_HEALTH_FAILED]
const there = (): boolean => true
/** gpus (state, fault_action), endpoints (health), events, gpu_telemetry, local_drain */
const TROUBLE: Marks = {
  8: { 18: (state) => state === GpuState.GPU_STATE_FAILED, 25: there },
  9: { 7: (health) => UNWELL.includes(health) },
  11: there,
  12: (telemetry) => telemetry === GpuTelemetry.GPU_TELEMETRY_FAILED,
  16: (drained) => drained !== 0,
}

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

/** It speaks of something that requests may be lost by: a server or GPU that is not well, an event, a host that is to be left alone. */
export function speaksOfTrouble(bytes: Uint8Array): boolean {
  try {
    return marked(new BinaryReader(bytes), bytes.length, TROUBLE)
  } catch {
    return false
  }
}

function marked(reader: BinaryReader, end: number, marks: Marks): boolean {
  while (reader.pos < end) {
    const [field, type] = reader.tag()
    const mark = marks[field]
    if (mark === undefined || (type !== WireType.Varint && type !== WireType.LengthDelimited)) {
      reader.skip(type)
      continue
    }
    const value = reader.uint32()
    const behind = type === WireType.LengthDelimited ? reader.pos + value : reader.pos
    if (typeof mark === 'function' ? mark(value) : marked(reader, behind, mark)) return true
    reader.pos = behind
  }
  return false
}
