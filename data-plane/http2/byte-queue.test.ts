import { expect, test } from 'vitest'
import { ByteQueue } from './byte-queue.ts'

test('what goes in comes out in order, however it is cut, also from chunks that were used before', () => {
  let seed = 5
  const next = (most: number): number => {
    seed = (seed * 48_271) % 2_147_483_647
    return (seed % most) + 1
  }
  for (let round = 0; round < 200; round++) {
    const queue = new ByteQueue()
    const model: Uint8Array[] = []
    const out: Uint8Array[] = []
    let value = 0
    for (let step = 0; step < 60; step++) {
      const piece = new Uint8Array(next(round % 3 === 0 ? 6_000 : 90))
      for (let at = 0; at < piece.length; at++) piece[at] = value++ & 0xff
      queue.append(piece, 0, piece.length)
      model.push(Uint8Array.from(piece))
      piece.fill(0)
      while (queue.length > 0 && next(3) > 1) {
        const front = queue.front(next(700))
        out.push(Uint8Array.from(front))
        queue.drop(front.length)
      }
    }
    queue.forEach((chunk, start, end) => {
      out.push(Uint8Array.from(chunk.subarray(start, end)))
    })
    expect(Buffer.concat(out).equals(Buffer.concat(model))).toBe(true)
    queue.clear()
    expect(queue.length).toBe(0)
  }
})
