import { expect, test } from 'vitest'
import { type ChoiceView, explainPage } from './admin-explain-page.ts'

const choice: ChoiceView = {
  ...{ model: 'llm', policy: 'LEAST_WAIT', snapshot_version: 'v7', candidates_total: 20, endpoints_total: 24 },
  candidates: [
    { endpoint_id: 'gpu-a/triton', compared: true, weight: 100, charged: 2, load_age_ms: 312.4, terms: { wait: 0.0204 }, words: {} },
    { endpoint_id: 'gpu-b/triton', compared: true, weight: 80, charged: 0, terms: {}, words: { wait: 'unknown' } },
  ],
  passed_over: [{ why: 'DRAINING: never asked', count: 4, endpoint_ids: ['gpu-c/triton'] }],
}

test('a page tells who was chosen, by what, and who was passed over; unknown is a dash', () => {
  const end = { outcome: 'success', status: 0, total_ms: 81.26, messages: 12, request_bytes: 900 }
  const decision = { at_unix_ms: 0, trace_id: 'ab', attempt: 2, endpoint_id: 'gpu-a/triton', choice, end }
  const page = explainPage({ proxies: [{ proxy_id: 'p1', reply: { decisions: [decision], now: null } }], silent: ['p2'], not_asked: 3 })
  expect(page).toBe(
    [
      'DECISION at 1970-01-01T00:00:00.000Z by p1: gpu-a/triton, attempt 2, trace ab',
      '  success, status 0; first byte after - ms, 81.3 ms in all, 12 messages for 900 bytes',
      '  model llm, policy LEAST_WAIT, snapshot v7; 20 of 24 endpoints could be drawn, 2 of them shown',
      '  ENDPOINT      PART      WEIGHT  CHARGED  LOAD AGE  WAIT',
      '  gpu-a/triton  chosen    100     2        312 ms    0.02',
      '  gpu-b/triton  compared  80      0        -         unknown',
      '  4 passed over: DRAINING: never asked (gpu-c/triton, …)',
      '',
      'no answer in time from p2',
      '',
      '3 more proxies were not asked; choose one with --proxy',
      '',
    ].join('\n'),
  )
})

test('a proxy that remembers nothing says so', () => {
  expect(explainPage({ proxies: [{ proxy_id: 'p1', reply: { decisions: [], now: null } }], silent: [], not_asked: 0 })).toBe(
    'PROXY p1: remembers no such decision\n',
  )
})
