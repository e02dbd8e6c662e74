import { describe, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { telemetrySubject } from '../../core/subjects.ts'
import { GpuTelemetry, NodeEvent, NodeReport, XidAction } from '../../proto/gen/millrace/telemetry/v1/telemetry.ts'
import { endpoint, gpu, HEALTH, heartbeat, report } from '../testing/reports.ts'
import { speaksOfTrouble } from './report-worth.ts'
import { TelemetryIntake } from './telemetry-intake.ts'

const bytes = (node: string, sequence: number): Uint8Array => NodeReport.encode(report(node, sequence)).finish()

test('a node that floods loses its own oldest reports, counted, and nobody else any', async () => {
  const seen: string[] = []
  const flood = limits.waitingReportsMax + 3
  await new Promise<void>((resolve) => {
    const intake = new TelemetryIntake({
      onReport: ({ nodeId, sequence }) => {
        seen.push(`${nodeId}${sequence}`)
        if (nodeId === 'quiet') resolve()
      },
      onMalformed: () => {},
    })
    for (let sequence = 1; sequence <= flood; sequence++) intake.take(bytes('loud', sequence), telemetrySubject('m', 'loud'))
    intake.take(bytes('quiet', 1), telemetrySubject('m', 'quiet'))
    expect(intake.drops['waited-too-long']).toBe(3)
  })
  expect(seen).toEqual([...[4, 5, 6, 7].map((sequence) => `loud${sequence}`), 'quiet1'])
})

test('of a node whose reports wait too long a heartbeat goes before what changed, and that before what tells all', async () => {
  const said = {
    full: (sequence: number) => report('a', sequence),
    news: (sequence: number) => report('a', sequence, { full: false, endpoints: [endpoint('a')] }),
    beat: (sequence: number) => heartbeat('a', sequence),
  }
  const left = async (...kinds: (keyof typeof said)[]): Promise<string> => {
    const seen: string[] = []
    await new Promise<void>((resolve) => {
      const intake = new TelemetryIntake({
        onReport: ({ sequence }) => {
          if (seen.push(`${kinds[Number(sequence)]} ${sequence}`) === limits.waitingReportsMax) resolve()
        },
        onMalformed: () => {},
      })
      for (const [at, kind] of kinds.entries()) intake.take(NodeReport.encode(said[kind](at)).finish(), telemetrySubject('m', 'a'))
    })
    return seen.join(', ')
  }
  expect(await left('full', 'beat', 'news', 'beat', 'beat', 'beat')).toBe('full 0, news 2, beat 4, beat 5')
  expect(await left('full', 'news', 'news', 'news', 'news')).toBe('full 0, news 2, news 3, news 4')
  expect(await left('full', 'full', 'full', 'full', 'full')).toBe('full 1, full 2, full 3, full 4')
})

describe('what speaks of trouble', () => {
  const calm = report('a', 2, { full: false, endpoints: [endpoint('a', { load: { queueDepth: 3 } })], gpus: [gpu('GPU-1')] })
  test.each<[what: string, fields: Partial<NodeReport>, troubled: boolean]>([
    ['loads and GPUs that are well', {}, false],
    ['nothing but its life', { endpoints: [], gpus: [] }, false],
    ['a second server that failed', { endpoints: [endpoint('a'), endpoint('a', { health: HEALTH.failed })] }, true],
    ['a server that starts', { endpoints: [endpoint('a', { health: HEALTH.starting })] }, true],
    ['a GPU that failed', { gpus: [gpu('GPU-1'), gpu('GPU-2', 'failed')] }, true],
    ['a fault of a GPU', { gpus: [gpu('GPU-1', 'ok', { faultAction: XidAction.XID_ACTION_RESET_GPU })] }, true],
    ['an event', { events: [NodeEvent.fromPartial({ kind: 'xid', detail: 'x' })] }, true],
    ['telemetry that failed', { gpuTelemetry: GpuTelemetry.GPU_TELEMETRY_FAILED }, true],
    ['a host that is to be left alone', { localDrain: true }, true],
  ])('%s: %3$s', (_what, fields, troubled) => {
    expect(speaksOfTrouble(NodeReport.encode({ ...calm, ...fields }).finish())).toBe(troubled)
  })

  test('is folded before all that waits, behind what its node said before', async () => {
    const seen: string[] = []
    const fleet = 3_000
    await new Promise<void>((resolve) => {
      const intake = new TelemetryIntake({
        onReport: ({ nodeId, sequence }) => {
          if (seen.push(`${nodeId} ${sequence}`) === fleet + 1) resolve()
        },
        onMalformed: () => {},
      })
      for (let at = 0; at < fleet; at++) intake.take(bytes(`n${at}`, 1), telemetrySubject('m', `n${at}`))
      const failed = report('n2000', 2, { endpoints: [endpoint('n2000', { health: HEALTH.failed })] })
      intake.take(NodeReport.encode(failed).finish(), telemetrySubject('m', 'n2000'))
    })
    expect(seen.slice(0, 3)).toEqual(['n2000 1', 'n2000 2', 'n0 1'])
    expect(new Set(seen).size).toBe(fleet + 1)
  })
})

test('bytes that are no report are counted by reason and named', async () => {
  const malformed = await new Promise<string>((resolve) => {
    const intake = new TelemetryIntake({
      onReport: () => {},
      onMalformed: (node, { malformed }) => resolve(`${node} ${malformed} ${intake.drops[malformed]}`),
    })
    intake.take(bytes('a', 1), telemetrySubject('m', 'b'))
  })
  expect(malformed).toBe('b other-node 1')
})
