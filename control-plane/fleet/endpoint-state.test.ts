import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import type { Doubt } from './doubt.ts'
import { deriveState, type Records } from './endpoint-state.ts'
import type { GpuShare } from './gpu-share.ts'
import { SERVE } from './intent.ts'

const WHOLE: GpuShare = { total: 2, usable: 2, factor: 1, reason: '', asksRecovery: false }
const ONE_LOST: GpuShare = { ...WHOLE, usable: 1, reason: 'b: lost' }
const WELL: Records = {
  intent: SERVE,
  localDrain: undefined,
  liveness: { state: 'ready' },
  gpus: WHOLE,
  doubt: { state: 'none' },
  busy: undefined,
}
const drain = { intent: { want: 'drain', reason: 'fans', at: '' } } as const
const failed = { liveness: { state: 'failed', reason: 'no answer' } } as const
const starting = { liveness: { state: 'starting', reason: 'loads', failedBefore: false } } as const
const probation = { liveness: { state: 'probation', passed: 1 } } as const
const refused = { doubt: { state: 'refused', reason: 'refused', askedAt: millis(0) } as Doubt }
const open = { doubt: { state: 'open', quietSince: millis(0) } as Doubt }
const firm = { gpus: { ...WHOLE, leaving: { firm: true, reason: 'a: recovery action: Drain and Reset' } } }
const careful = { gpus: { ...WHOLE, leaving: { firm: false, reason: 'a: hot' } } }
const recovery = { gpus: { ...WHOLE, usable: 0, asksRecovery: true } }
const busy = { busy: 'queue full' }

const REFUSED_WORDS = 'requests fail, and so does a fresh connection: refused'
const FIRM_WORDS = 'a GPU is to be left alone (a: recovery action: Drain and Reset)'

test.each<[string, Partial<Records>, string]>([
  ['nothing to say', {}, 'READY'],
  ['one GPU of two', { gpus: ONE_LOST }, 'READY: 1 of 2 GPUs usable (b: lost)'],
  ['a GPU is slow', { gpus: { ...WHOLE, factor: 0.7, reason: 'a: slowed down' } }, 'READY: a: slowed down'],
  ['starting', starting, 'STARTING: loads'],
  ['failed', failed, 'FAILED: no answer'],
  ['on probation', probation, 'PROBATION: it failed; it answers again and has to prove it'],
  ['busy', busy, 'BUSY: queue full'],
  ['busy on one GPU of two', { ...busy, gpus: ONE_LOST }, 'BUSY: queue full; 1 of 2 GPUs usable (b: lost)'],
  ['refuses connections', refused, `FAILED: ${REFUSED_WORDS}`],
  ['takes connections and fails', open, 'PROBATION: requests fail; a fresh connection opens'],
  ['suspect, and not settled', { doubt: { state: 'suspect', askedAt: millis(0) } }, 'READY'],
  ['a GPU wants to be left', firm, `DRAINING: ${FIRM_WORDS} [never]`],
  ['caution', careful, 'DRAINING: out of caution (a: hot) [may]'],
  ['its GPU asks for recovery', { ...failed, ...recovery }, 'FAILED: no answer [never]'],
  ['drained', drain, 'DRAINING: drained: fans [never]'],
  ['drained without a word', { intent: { want: 'drain', reason: '', at: '' } }, 'DRAINING: drained by an operator [never]'],
  ["drained by the host's owner", { localDrain: '' }, "DRAINING: drained by the host's owner [never]"],
  ["drained by the host's owner, who says why", { localDrain: 'cleaning' }, 'DRAINING: drained: cleaning [never]'],
  // What outweighs what.
  ['the operator outweighs the owner', { ...drain, localDrain: 'cleaning' }, 'DRAINING: drained: fans [never]'],
  ['a drain outweighs a failure, and tells it', { ...drain, ...failed }, 'DRAINING: drained: fans; failed: no answer [never]'],
  [
    'a drain outweighs refused connections, and tells them',
    { ...drain, ...refused },
    `DRAINING: drained: fans; failed: ${REFUSED_WORDS} [never]`,
  ],
  ['a drain outweighs starting', { ...drain, ...starting }, 'DRAINING: drained: fans [never]'],
  ['a drain outweighs caution: nobody asks it in panic', { ...drain, ...careful }, 'DRAINING: drained: fans [never]'],
  ['a GPU to be left outweighs a failure', { ...firm, ...failed }, `DRAINING: ${FIRM_WORDS} [never]`],
  ['a GPU to be left outweighs probation', { ...firm, ...probation }, `DRAINING: ${FIRM_WORDS} [never]`],
  ['a failure outweighs caution', { ...careful, ...failed }, 'FAILED: no answer'],
  ['refused connections outweigh caution', { ...careful, ...refused }, `FAILED: ${REFUSED_WORDS}`],
  ['starting outweighs caution', { ...careful, ...starting }, 'STARTING: loads'],
  ['caution outweighs probation', { ...careful, ...probation }, 'DRAINING: out of caution (a: hot) [may]'],
  ['caution outweighs busy', { ...careful, ...busy }, 'DRAINING: out of caution (a: hot) [may]'],
  ['what the agent calls failed is not doubted', { ...failed, ...open }, 'FAILED: no answer'],
  ['probation outweighs busy', { ...probation, ...busy }, 'PROBATION: it failed; it answers again and has to prove it'],
  ['doubt outweighs busy', { ...open, ...busy }, 'PROBATION: requests fail; a fresh connection opens'],
  ['starting outweighs busy', { ...starting, ...busy }, 'STARTING: loads'],
])('%s', (_name, records, seen) => {
  const { state, reason, panic } = deriveState({ ...WELL, ...records })
  expect(`${state}${reason && ': '}${reason}${panic === undefined ? '' : ` [${panic}]`}`).toBe(seen)
})

test('a reason is as long as a reason may be', () => {
  expect(deriveState({ ...WELL, busy: 'x'.repeat(9_999) }).reason).toHaveLength(limits.reportTextMax)
})
