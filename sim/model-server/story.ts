/** What the simulated model says: always the same words in the same order, so that two servers give the same answer to the same request. */

const WORDS = (
  'A mill race is the channel that brings the stream to the wheel. Water from the weir runs along it, never too fast and never too slow, ' +
  'and turns the stone. When one wheel stands still, the miller opens another gate, and the flour keeps coming. (This is a simulated answer.)'
).split(' ')

/** One telling of the story: what a request gets that does not ask for a number of tokens. */
export const STORY_TOKENS = WORDS.length

/** The text of token `index`: the words again and again, each after the first with its space in front. */
export const tokenText = (index: number): string => (index === 0 ? '' : ' ') + WORDS[index % WORDS.length]

export const textOf = (tokens: number): string => Array.from({ length: tokens }, (_, index) => tokenText(index)).join('')
