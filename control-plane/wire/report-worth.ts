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

/** A tag is the number of its field and, in the lowest bits, how its value is written. */
const TYPE_BITS = 3
const TYPE_MASK = 7

/** As the reader's own `skip`, which makes an array of what it skips: of every report that waits that was a tenth of all garbage. */
function pass(reader: BinaryReader, type: WireType): void {
  switch (type) {
    case WireType.Varint:
      reader.uint32()
      return
    case WireType.LengthDelimited: {
      const length = reader.uint32()
      reader.pos += length
      return
    }
    case WireType.Bit64:
      reader.pos += 8
      return
    case WireType.Bit32:
      reader.pos += 4
      return
    default:
      reader.skip(type)
  }
}

function worthOf(bytes: Uint8Array): number {
  let worth: number = WORTH.beat
  try {
    const reader = new BinaryReader(bytes)
    while (reader.pos < reader.len) {
      const tag = reader.uint32()
      const field = tag >>> TYPE_BITS
      if (field === FULL) {
        if (reader.bool()) return WORTH.full
        continue
      }
      if (NEWS.includes(field)) worth = WORTH.news
      pass(reader, tag & TYPE_MASK)
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
    const tag = reader.uint32()
    const type = tag & TYPE_MASK
    const mark = marks[tag >>> TYPE_BITS]
    if (mark === undefined || (type !== WireType.Varint && type !== WireType.LengthDelimited)) {
      pass(reader, type)
      continue
    }
    const value = reader.uint32()
    const behind = type === WireType.LengthDelimited ? reader.pos + value : reader.pos
    if (typeof mark === 'function' ? mark(value) : marked(reader, behind, mark)) return true
    reader.pos = behind
  }
  return false
}
