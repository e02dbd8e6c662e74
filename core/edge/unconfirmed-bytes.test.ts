import { expect, test } from 'vitest'
import { limits } from '../limits.ts'
import { UnconfirmedBytes } from './unconfirmed-bytes.ts'

/** A server that confirms when told to. */
function slowServer() {
  const asked: (() => void)[] = []
  const bytes = new UnconfirmedBytes(() => new Promise((resolve) => asked.push(resolve)))
  const confirm = async (): Promise<void> => {
    asked.shift()?.()
    await Promise.resolve()
  }
  return { asked, bytes, confirm }
}

test('a little is never asked about', () => {
  const { asked, bytes } = slowServer()
  bytes.handedOver(limits.busUnconfirmedAsk)
  expect(asked).toHaveLength(0)
})

test('one question is open at a time, and what was handed over behind it stays unconfirmed', async () => {
  const { asked, bytes, confirm } = slowServer()
  bytes.handedOver(limits.busUnconfirmedAsk + 1)
  for (let kib = 0; kib < 600; kib++) bytes.handedOver(1_024)
  expect(asked).toHaveLength(1)
  expect(bytes.tooMany).toBe(true)
  await confirm()
  expect(bytes.tooMany, '600 KiB came behind the question').toBe(true)
  expect(asked, 'so the next is asked at once').toHaveLength(1)
  await confirm()
  expect(bytes.tooMany).toBe(false)
  expect(asked).toHaveLength(0)
})
