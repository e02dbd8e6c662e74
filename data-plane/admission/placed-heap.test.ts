import { expect, test } from 'vitest'
import { NOWHERE, PlacedHeap } from './placed-heap.ts'

const seeded = (seed: number) => () => {
  seed = (seed * 48_271) % 2_147_483_647
  return seed / 2_147_483_647
}

test.each([1, 2, 3, 4])('after any history the first is the least, and everybody knows its place, seed %i', (seed) => {
  const draw = seeded(seed * 7_919)
  const heap = new PlacedHeap<{ place: number; rank: number }>((a, b) => a.rank < b.rank)
  const inside: { place: number; rank: number }[] = []
  for (let step = 0; step < 2_000; step++) {
    const at = Math.floor(draw() * inside.length)
    const some = inside[at]
    if (some === undefined || draw() < 0.5) {
      const fresh = { place: NOWHERE, rank: Math.floor(draw() * 50) }
      heap.push(fresh)
      inside.push(fresh)
    } else if (draw() < 0.6) {
      heap.remove(some)
      inside.splice(at, 1)
      expect(some.place).toBe(NOWHERE)
    } else {
      some.rank = Math.floor(draw() * 50)
      heap.moved(some)
    }
    expect(heap.size).toBe(inside.length)
    expect(heap.first?.rank).toBe(inside.length === 0 ? undefined : Math.min(...inside.map(({ rank }) => rank)))
    expect(inside.every((one) => heap.items[one.place] === one)).toBe(true)
  }
})
