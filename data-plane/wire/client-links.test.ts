import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { ClientLinks } from './client-links.ts'
import type { SocketLink } from './socket-link.ts'

const ZERO = millis(0)
const RULES = {
  askAfter: ZERO,
  askAgainAfter: ZERO,
  answerWithin: ZERO,
  settingsWithin: ZERO,
  idleMax: ZERO,
  ageMax: ZERO,
  retireGrace: ZERO,
}

/** A client's connection that writes down what it is told. */
function client() {
  const told: string[] = []
  const tell = (what: string) => () => void told.push(what)
  const connection = {
    pongs: 0,
    dead: false,
    announceShutdown: tell('open no more'),
    ping: tell('ping'),
    finishShutdown: tell('these are served'),
  }
  return { told, connection, link: { connection } as unknown as SocketLink }
}

test('a client that leaves is told what is still served once it has answered, and a moment for its program', () => {
  const links = new ClientLinks(RULES)
  const [quick, slow] = [client(), client()]
  for (const { link } of [quick, slow]) links.add(link, ZERO, 0)
  links.announceDrain(millis(1_000))
  expect(quick.told).toEqual(['open no more', 'ping'])
  quick.connection.pongs++
  expect(links.stepDrain(millis(1_010))).toBe(false)
  expect(quick.told).toHaveLength(2)
  links.stepDrain(millis(1_200))
  expect([quick.told.at(-1), slow.told.at(-1)]).toEqual(['these are served', 'ping'])
  expect(links.stepDrain(millis(1_000 + limits.shutdownAnswerMax))).toBe(true)
  expect(slow.told.at(-1), 'who does not answer is told in the end').toBe('these are served')
})

test('who comes during the drain is asked to leave too, and who goes away is not waited for', () => {
  const links = new ClientLinks(RULES)
  links.announceDrain(ZERO)
  const [late, gone] = [client(), client()]
  for (const { link } of [late, gone]) links.add(link, millis(10), 0)
  expect(late.told).toEqual(['open no more', 'ping'])
  links.delete(gone.link)
  late.connection.pongs++
  expect(links.stepDrain(millis(20))).toBe(false)
  expect(links.stepDrain(millis(500))).toBe(true)
  expect(gone.told).toHaveLength(2)
})
