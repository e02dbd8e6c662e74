import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { fileStamp, watchStaticFile } from './static-watch.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-watch-'))
const path = join(folder, 'mesh.json')
const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
  rmSync(folder, { recursive: true, force: true })
})

/** As a whole: half a file would be one more change. */
const place = (text: string): void => {
  writeFileSync(`${path}.next`, text)
  renameSync(`${path}.next`, path)
}
const write = (id: string): void => place(JSON.stringify({ endpoints: [{ id, address: '127.0.0.1:1' }] }))

test('a change between the first reading and the watch is read, and so is each later one, the wrong ones with a complaint', async () => {
  write('n/first')
  const stamp = fileStamp(path)
  write('n/between-them')
  const heard: string[] = []
  const onSnapshot = async ({ endpoints }: { endpoints: readonly { id: string }[] }): Promise<void> => {
    heard.push(...endpoints.map(({ id }) => id))
  }
  closers.push(watchStaticFile(path, 'static', stamp, { onSnapshot, onBad: () => heard.push('bad') }))
  await expect.poll(() => heard).toEqual(['n/between-them'])
  place('{')
  await expect.poll(() => heard).toEqual(['n/between-them', 'bad'])
  write('n/at-last')
  await expect.poll(() => heard).toEqual(['n/between-them', 'bad', 'n/at-last'])
})
