/** What each kind's file is: pure, and held by one contract test. */
import type { Millis } from '../../core/units.ts'
import type { ServerKind } from './kinds.ts'
import type { Page } from './prometheus-text.ts'
import type { Reading } from './reading.ts'

export type LoadReader = {
  readonly kind: ServerKind
  /** All that is read of the metrics page, names as without the `_total` that OpenMetrics adds to counters. */
  readonly families: readonly string[]
  /** Whether a page that knows these of all kinds' families is of this kind. */
  readonly recognise: (names: ReadonlySet<string>) => boolean
  /** Over which rates are taken, where a second is too short since the server brings its page up to date less often. */
  readonly rateSpan?: Millis
  /** `bodies` of the kind's `load` page; where it asks by model, one for each model. */
  readonly read: (page: Page, bodies: readonly string[]) => Reading
}
