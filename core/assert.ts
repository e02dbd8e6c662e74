/** A bug, not a refusal: what the sentence says must hold whatever a peer sends. */
export function assert(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${sentence}`)
}
