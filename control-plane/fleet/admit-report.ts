/**
 * Decides whose word a report is, before anything in it counts. Invariants: within a boot only a later sequence counts; a boot that was replaced never
 * comes back; a node is only known from a full report on, because a report in between leaves things out; and an agent that is heard keeps its name: a
 * second one waits beside it, so that two of one name never take turns.
 */

import { limits } from '../../core/limits.ts'
import type { Millis } from '../../core/units.ts'
import type { NodeRecord } from './node-record.ts'
import type { HeardReport } from './parse-report.ts'

export const REPORT_DROPS = ['replayed', 'past-boot', 'no-full-report-yet', 'fleet-full', 'contended'] as const
export type ReportDrop = (typeof REPORT_DROPS)[number]

export type Admission =
  | { readonly kind: 'fold' }
  /** Of a second agent: kept beside the first until that falls silent. */
  | { readonly kind: 'contend' }
  | { readonly kind: 'take-over' }
  | { readonly kind: 'drop'; readonly drop: ReportDrop }

type Speaker = Pick<NodeRecord, 'bootId' | 'sequence'>
type Incumbent = Speaker & Pick<NodeRecord, 'pastBoots' | 'heardAt' | 'interval'>
type Said = Pick<HeardReport, 'bootId' | 'sequence' | 'full'>

const drop = (reason: ReportDrop): Admission => ({ kind: 'drop', drop: reason })

export function admitReport(known: Incumbent | undefined, contender: Speaker | undefined, report: Said, now: Millis): Admission {
  if (known === undefined) return report.full ? { kind: 'fold' } : drop('no-full-report-yet')
  if (known.bootId === report.bootId) return report.sequence > known.sequence ? { kind: 'fold' } : drop('replayed')
  if (known.pastBoots.includes(report.bootId)) return drop('past-boot')
  if (contender?.bootId === report.bootId && report.sequence <= contender.sequence) return drop('replayed')
  if (contender?.bootId !== report.bootId && !report.full) return drop('no-full-report-yet')
  return { kind: now - known.heardAt >= limits.takeOverAfterMissed * known.interval ? 'take-over' : 'contend' }
}
