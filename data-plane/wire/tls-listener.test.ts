import { copyFileSync, rmSync, utimesSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { type Certificate, CertificateFolder } from '../../test/tools/certificates.ts'
import type { ListenerMaterial } from './tls-context.ts'
import { ListenerTls } from './tls-listener.ts'

const DAY_MS = 86_400_000
const folder = new CertificateFolder()
const ca = folder.authority()
afterAll(() => folder.remove())

/** A listener over two files of its own, a clock that stands still, and everything that it told. */
function listening(pair: Certificate) {
  const [cert, key] = [`${pair.certFile}.live`, `${pair.keyFile}.live`]
  let changes = 0
  /** A file system may give two changes of one moment the same time: here each has its own. */
  const copy = (from: string, to: string): void => {
    copyFileSync(from, to)
    utimesSync(to, ++changes, changes)
  }
  const place = (other: Certificate): void => {
    copy(other.certFile, cert)
    copy(other.keyFile, key)
  }
  place(pair)
  const clock = { now: Date.now() }
  const told: string[] = []
  const published: ListenerMaterial[] = []
  const tls = new ListenerTls(
    { cert, key, clientIdentities: [], only: false },
    {
      wallClock: () => clock.now,
      onChange: (material) => void published.push(material),
      tell: (level, event) => void told.push(`${level} ${event}`),
    },
  )
  return { tls, place, copy, clock, told, published, cert, key }
}

test('a change counts once it has held still for a look, and brings new ticket keys', () => {
  const [first, second] = [folder.issue(ca), folder.issue(ca)]
  const { tls, place, told, published } = listening(first)
  const { ticketKeys } = tls.material
  tls.look()
  expect(published).toEqual([])
  place(second)
  tls.look()
  expect(published, 'it may still be written').toEqual([])
  tls.look()
  expect(published.map((one) => one.cert)).toEqual([second.cert.toString()])
  expect(published[0]?.ticketKeys).not.toEqual(ticketKeys)
  expect(told).toEqual(['info tls.read'])
})

test('a half that came alone is refused once, and the pair is taken when it is whole', () => {
  const [first, second] = [folder.issue(ca), folder.issue(ca)]
  const { tls, copy, told, published, cert, key } = listening(first)
  copy(second.certFile, cert)
  for (let i = 0; i < 5; i++) tls.look()
  expect([published.length, told]).toEqual([0, ['error tls.refused']])
  copy(second.keyFile, key)
  for (let i = 0; i < 5; i++) tls.look()
  expect([published.length, told]).toEqual([1, ['error tls.refused', 'info tls.read']])
})

test('a file that vanishes leaves what was good', () => {
  const first = folder.issue(ca)
  const { tls, told, published, cert } = listening(first)
  rmSync(cert)
  for (let i = 0; i < 3; i++) tls.look()
  expect([published.length, told, tls.material.cert]).toEqual([0, ['error tls.refused'], first.cert.toString()])
})

test('an end that comes near is warned of once a day, and then said to be past', () => {
  const { tls, clock, told } = listening(folder.issue(ca, { days: 30 }))
  tls.look()
  expect(told).toEqual([])
  clock.now += 17 * DAY_MS
  for (let i = 0; i < 5; i++) tls.look()
  expect(told).toEqual(['warn tls.certificate-expires'])
  clock.now += DAY_MS
  tls.look()
  expect(told).toHaveLength(2)
  clock.now += 20 * DAY_MS
  tls.look()
  expect(told.at(-1)).toBe('error tls.certificate-expired')
})

test('one that has expired is shown at a start, and never replaces one that is good', () => {
  const old = folder.issue(ca, { days: -1 })
  const late = listening(old)
  expect(late.told).toEqual(['error tls.certificate-expired'])
  const { tls, place, told, published } = listening(folder.issue(ca))
  place(old)
  tls.reload()
  expect([published.length, told, tls.reloads]).toEqual([0, ['error tls.refused'], { good: 0, bad: 1 }])
})

test('ticket keys are renewed when they grow old, and nothing else with them', () => {
  const { tls, clock, published } = listening(folder.issue(ca))
  const before = tls.material
  clock.now += limits.ticketKeysLife + 1
  tls.look()
  tls.look()
  expect(published).toEqual([{ ...before, ticketKeys: expect.anything() }])
  expect(tls.material.ticketKeys).not.toEqual(before.ticketKeys)
})
