import { expect, test } from 'vitest'
import { deriveState } from './endpoint-state.ts'
import { SERVE } from './intent.ts'
import type { Liveness } from './liveness.ts'

const WHOLE = { total: 2, usable: 2, reason: '' }
const DRAIN = { want: 'drain', reason: 'fans', at: '' } as const
const FAILED: Liveness = { state: 'failed', reason: 'refused' }

test.each([
  ['ready', { state: 'ready' } as Liveness, SERVE, WHOLE, 'READY', ''],
  [
    'ready on one GPU of two',
    { state: 'ready' } as Liveness,
    SERVE,
    { total: 2, usable: 1, reason: 'b: lost' },
    'READY',
    '1 of 2 GPUs usable (b: lost)',
  ],
  ['starting', { state: 'starting', reason: 'loads', failedBefore: false } as Liveness, SERVE, WHOLE, 'STARTING', 'loads'],
  ['failed', FAILED, SERVE, WHOLE, 'FAILED', 'refused'],
  ['drained', { state: 'ready' } as Liveness, DRAIN, WHOLE, 'DRAINING', 'drained: fans'],
  ['drained and failed: the intent stays', FAILED, DRAIN, WHOLE, 'DRAINING', 'drained: fans; failed: refused'],
])('%s', (_name, liveness, intent, gpus, state, reason) => {
  expect(deriveState({ liveness, gpus }, intent)).toEqual({ state, reason })
})
