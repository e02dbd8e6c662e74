import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import { millis } from '../../core/units.ts'
import { SilenceWatch } from './silence-watch.ts'

const INTERVAL = millis(500)
const GRACE = limits.linkReturnGrace

/** Nodes that all spoke at once and then never, unless said; each is looked at whenever the watch asked to. */
class Ears {
  readonly watch = new SilenceWatch()
  readonly #heardAt = new Map<string, number>()
  readonly #lookAt = new Map<string, number>()
  now = 0

  constructor(...nodes: readonly string[]) {
    this.watch.linkUp(millis(0))
    this.now = GRACE
    for (const node of nodes) this.hear(node)
  }

  hear(node: string): void {
    this.#heardAt.set(node, this.now)
    this.watch.heard(node, millis(this.now))
    this.#lookAt.set(node, this.now + 3 * INTERVAL)
  }

  wait(ms: number, alive: readonly string[] = []): this {
    for (const until = this.now + ms; this.now < until; ) {
      this.now += 100
      if (this.now % INTERVAL === 0) for (const node of alive) this.hear(node)
      for (const [node, at] of this.#lookAt)
        if (at <= this.now) {
          const hearing = { heardAt: millis(this.#heardAt.get(node) ?? 0), interval: INTERVAL }
          this.#lookAt.set(node, this.watch.look(node, hearing, millis(this.now)).nextLookAt)
        }
    }
    return this
  }

  seen(...nodes: readonly string[]): string {
    return nodes.map((node) => this.watch.freshness(node)).join(' ')
  }
}

test('a node that misses three reports is stale, six the last resort, and one report makes it fresh', () => {
  const ears = new Ears('a', 'b', 'c')
  const alive = ['b', 'c']
  expect(ears.wait(1_400, alive).seen('a', 'b')).toBe('fresh fresh')
  expect(ears.wait(200, alive).seen('a', 'b')).toBe('stale fresh')
  expect(ears.wait(1_600, alive).seen('a', 'b')).toBe('last-resort fresh')
  ears.hear('a')
  expect(ears.seen('a')).toBe('fresh')
})

test('silence does not count while our own link is down, nor in the grace after it returns', () => {
  const ears = new Ears('a', 'b', 'c')
  ears.watch.linkDown()
  expect(ears.wait(60_000).seen('a', 'b', 'c')).toBe('fresh fresh fresh')
  ears.watch.linkUp(millis(ears.now))
  expect(ears.wait(GRACE, ['b', 'c']).seen('a', 'b', 'c')).toBe('fresh fresh fresh')
  expect(ears.wait(3_600, ['b', 'c']).seen('a', 'b', 'c')).toBe('last-resort fresh fresh')
})

test('what was not heard while we stood still was not silence; what follows is', () => {
  const ears = new Ears('a', 'b', 'c')
  ears.now += 10_000
  ears.watch.stoodStill(millis(ears.now))
  expect(ears.watch.wouldShow(millis(ears.now + 1_900))).toBe(false)
  expect(ears.wait(1_400, ['b', 'c']).seen('a', 'b', 'c')).toBe('fresh fresh fresh')
  expect(ears.wait(2_600, ['b', 'c']).seen('a', 'b', 'c')).toBe('last-resort fresh fresh')
})

test('who was the last resort before our link went down is still after it returned', () => {
  const ears = new Ears('a', 'b', 'c')
  ears.wait(4_000, ['b', 'c'])
  ears.watch.linkDown()
  ears.wait(1_000)
  ears.watch.linkUp(millis(ears.now))
  expect(ears.wait(1_000, ['b', 'c']).seen('a', 'b')).toBe('last-resort fresh')
})

test('more than half silent together: we are the deaf one, and nobody is blamed', () => {
  const ears = new Ears('a', 'b', 'c', 'd', 'e')
  expect(ears.wait(10_000, ['d', 'e']).seen('a', 'b', 'c', 'd')).toBe('fresh fresh fresh fresh')
})

test('half of the nodes is not more than half', () => {
  expect(new Ears('a', 'b').wait(4_000, ['b']).seen('a', 'b')).toBe('last-resort fresh')
})

test('when the others speak again, who stays silent is counted anew', () => {
  const ears = new Ears('a', 'b', 'c', 'd')
  ears.wait(5_000, ['d'])
  expect(ears.wait(600, ['b', 'c', 'd']).seen('a', 'b', 'c')).toBe('fresh fresh fresh')
  expect(ears.wait(4_500, ['b', 'c', 'd']).seen('a', 'b', 'c')).toBe('last-resort fresh fresh')
})

test('hosts that went one by one do not hide that one more goes', () => {
  const ears = new Ears('a', 'b', 'c', 'd')
  ears.wait(4_000, ['b', 'c', 'd'])
  ears.wait(4_000, ['c', 'd'])
  expect(ears.wait(4_000, ['d']).seen('a', 'b', 'c', 'd')).toBe('last-resort last-resort last-resort fresh')
})
