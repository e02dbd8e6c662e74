/**
 * The quick way to read a file that is JSON: a YAML parser that keeps every line's number takes seconds for ten thousand endpoints. Undefined when it
 * is not JSON, or names a key twice (which JSON.parse would let pass): then whoever knows lines says what is wrong.
 */
export function readPlainJson(text: string): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  return keysIn(value) === keysWritten(text) ? value : undefined
}

function keysIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  const inside = Object.values(value)
  let keys = Array.isArray(value) ? 0 : inside.length
  for (const one of inside) keys += keysIn(one)
  return keys
}

/** In text that is known to be JSON, a key is a string before a colon. */
function keysWritten(text: string): number {
  let keys = 0
  for (const match of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)) if (match[1] !== undefined) keys++
  return keys
}
