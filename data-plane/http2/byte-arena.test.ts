import { expect, test } from 'vitest'
import { ByteArena } from './byte-arena.ts'

test('no two pieces share a byte, and a chunk left behind is never written again', () => {
  const arena = new ByteArena()
  const pieces = Array.from({ length: 500 }, (_, i) => {
    const length = (i * 37) % 700
    const at = arena.reserve(length)
    const piece = arena.memory.subarray(at, at + length)
    piece.fill(i % 251)
    return piece
  })
  for (const [i, piece] of pieces.entries()) {
    expect(piece.length).toBe((i * 37) % 700)
    expect(piece.every((byte) => byte === i % 251)).toBe(true)
  }
})

test('small pieces share memory, a large one has its own', () => {
  const arena = new ByteArena()
  arena.reserve(100)
  const shared = arena.memory
  arena.reserve(5_000)
  expect(arena.memory.length).toBe(5_000)
  arena.reserve(100)
  expect(arena.memory).toBe(shared)
})
