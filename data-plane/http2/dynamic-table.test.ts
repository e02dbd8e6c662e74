import { expect, test } from 'vitest'
import { DynamicTable } from './dynamic-table.ts'
import { type HeaderField, headerField } from './header-field.ts'

/** What RFC 7541 §4 says, in the slowest words. */
class NaiveTable {
  entries: HeaderField[] = []
  capacity: number

  constructor(capacity: number) {
    this.capacity = capacity
  }

  insert(field: HeaderField): void {
    this.entries = [field, ...this.entries]
    this.resize(this.capacity)
  }

  resize(capacity: number): void {
    this.capacity = capacity
    while (this.entries.reduce((sum, entry) => sum + entry.size, 0) > capacity) this.entries = this.entries.slice(0, -1)
  }
}

/** Numbers below `limit`, the same at each run. */
function draws(seed: number): (limit: number) => number {
  let state = seed
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
}

/** Size 32 + 1 + the value's length. */
const field = (length: number): HeaderField => headerField('x', 'v'.repeat(length))

test.each([0, 31, 32, 100, 4096])(
  'a table of %i holds what the naive one holds, over thousands of inserts and changes of size',
  (capacityMax) => {
    const draw = draws(capacityMax + 7)
    const table = new DynamicTable(capacityMax)
    const naive = new NaiveTable(capacityMax)
    for (let i = 0; i < 5_000; i++) {
      if (draw(50) === 0) {
        const capacity = draw(capacityMax + 1)
        table.resize(capacity)
        naive.resize(capacity)
      } else {
        const next = field(draw(draw(20) === 0 ? 5_000 : 60))
        table.insert(next)
        naive.insert(next)
      }
      const length = naive.entries.length
      const probes = [0, length - 1, draw(length + 1)].filter((position) => position >= 0)
      for (const position of probes) expect(table.at(position)).toBe(naive.entries[position])
      expect(table.at(length)).toBeUndefined()
    }
  },
)

test('as many of the smallest entries as the size allows', () => {
  const table = new DynamicTable(4096)
  const smallest = headerField('x', '')
  for (let i = 0; i < 1_000; i++) table.insert(smallest)
  expect(table.at(Math.floor(4096 / 33) - 1)).toBe(smallest)
  expect(table.at(Math.floor(4096 / 33))).toBeUndefined()
})

test('an entry larger than the table empties it and stays outside', () => {
  const table = new DynamicTable(100)
  table.insert(field(10))
  table.insert(field(68))
  expect(table.at(0)).toBeUndefined()
  table.insert(field(67))
  expect(table.at(0)?.size).toBe(100)
})

test('a table that may grow beyond the start size does so only when told', () => {
  const table = new DynamicTable(65_536)
  const half = field(2048 - 33)
  for (let i = 0; i < 3; i++) table.insert(half)
  expect([table.at(1), table.at(2)]).toEqual([half, undefined])
  table.resize(65_536)
  for (let i = 0; i < 3; i++) table.insert(half)
  expect([table.at(4), table.at(5)]).toEqual([half, undefined])
})
