/** What a proxy must be back to once its requests are over: nothing open, charged, buffered, kept or granted. */
import { expect } from 'vitest'
import type { TestProxy } from './proxy.ts'

const PATIENCE_MS = 30_000
const AT_REST = {
  millrace_requests_open: 0,
  millrace_ledger_open_attempts: 0,
  // A cancelled request counts until its endpoint had the time to stop.
  millrace_ledger_burning: 0,
  millrace_relay_buffered_bytes: 0,
  millrace_socket_backlog_bytes: 0,
  millrace_retry_copy_bytes: 0,
  millrace_window_budget_used_bytes: 0,
  millrace_worker_crashes_total: 0,
}

export async function expectSettled(proxy: TestProxy): Promise<void> {
  const names = Object.keys(AT_REST)
  const page = async (): Promise<Record<string, number>> =>
    Object.fromEntries(await Promise.all(names.map(async (name) => [name, await proxy.metric(name)] as const)))
  await expect.poll(page, { timeout: PATIENCE_MS, interval: 100 }).toEqual(AT_REST)
}
