import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { admitReport } from './admit-report.ts'

type Speaker = { bootId: string; sequence: number }

/** Words `boot:sequence@ms`, with `-` behind those that are not full; what became of each, the way the control plane acts on it. */
function play(words: string): string {
  let known: (Speaker & { pastBoots: string[]; heardAt: ReturnType<typeof millis>; interval: ReturnType<typeof millis> }) | undefined
  let contender: Speaker | undefined
  const became = words.split(' ').map((word) => {
    const [bootId = '', sequence = '', at = '0'] = word.replace('-', '').split(/[:@]/)
    const said = { bootId, sequence: Number(sequence), full: !word.endsWith('-') }
    const now = millis(Number(at))
    const admission = admitReport(known, contender, said, now)
    if (admission.kind === 'drop') return admission.drop
    if (admission.kind === 'contend') contender = said
    else {
      const pastBoots = known === undefined || known.bootId === bootId ? (known?.pastBoots ?? []) : [...known.pastBoots, known.bootId]
      known = { ...said, pastBoots, heardAt: now, interval: millis(500) }
    }
    return admission.kind
  })
  return became.join(' ')
}

test.each([
  ['later sequences are used', 'a:1@0 a:2@500 a:7@900', 'fold fold fold'],
  ['an old or repeated one is dropped', 'a:5@0 a:5@1 a:4@2', 'fold replayed replayed'],
  ['a node is known from a full report on', 'a:1@0- a:2@500 a:3@900-', 'no-full-report-yet fold fold'],
  ['also the next boot of a known node', 'a:1@0 b:1@5000- b:2@5100', 'fold no-full-report-yet take-over'],
  [
    'an agent that restarts waits until the one before has missed two reports',
    'a:9@0 b:1@600 b:2@900- b:3@1000- b:4@1500-',
    'fold contend contend take-over fold',
  ],
  ['one that comes when the other is long gone takes over at once', 'a:9@0 b:1@60000', 'fold take-over'],
  [
    'two that live take no turns: the first keeps the name',
    'a:1@0 b:1@100 a:2@500 b:2@600- a:3@1000 b:3@1100-',
    'fold contend fold contend fold contend',
  ],
  ['a boot that was replaced never comes back', 'a:50@0 b:1@2000 a:51@2100 a:52@90000', 'fold take-over past-boot past-boot'],
  ['an old report of the second is old too', 'a:1@0 b:5@100 b:4@200-', 'fold contend replayed'],
  ['a third one takes the place of the second', 'a:1@0 b:1@100 c:1@200 c:2@1000-', 'fold contend contend take-over'],
])('%s', (_name, said, became) => {
  expect(limits.takeOverAfterMissed).toBe(2)
  expect(play(said)).toBe(became)
})
