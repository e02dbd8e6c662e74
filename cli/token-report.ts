/** What `millrace bench --tokens` prints for a person: times of both sides beside one another, and a verdict in one line. */
import { type Comparison, percent, type Spread, showMs, type Verdict } from './token-verdict.ts'

export type Sides = { readonly direct: string; readonly against: string }

export function comparisonText(found: Comparison, sides: Sides): string {
  const { streams, tokens, ttft, ttftAdded, gaps, small } = found
  const row = (name: string, spread: Spread): string =>
    `  ${name.padEnd(9)}${[spread.p1Ms, spread.p50Ms, spread.p99Ms, spread.maxMs].map((ms) => showMs(ms).padStart(9)).join('')}`
  const head = `           ${['p1', 'p50', 'p99', 'max'].map((name) => name.padStart(9)).join('')}`
  const signed = (ms: number): string => `${ms < 0 ? '−' : '+'}${showMs(Math.abs(ms))} ms`
  return `direct   ${sides.direct}: ${streams.direct} streams, ${tokens.direct} tokens
through  ${sides.against}: ${streams.through} streams, ${tokens.through} tokens

time to first token, ms
${head}
${row('direct', ttft.direct)}
${row('through', ttft.through)}
  added: p50 ${signed(ttftAdded.p50Ms)} (± ${showMs(ttftAdded.p50ErrorMs)}), p99 ${signed(ttftAdded.p99Ms)}

gaps between tokens, ms
${head}
${row('direct', gaps.direct)}
${row('through', gaps.through)}
  below ${showMs(small.belowMs)} ms: direct ${percent(small.directShare)}, through ${percent(small.throughShare)}

${found.verdict.seen === 'no-buffering' ? `${verdictLine(found.verdict)}\n` : ''}`
}

export function verdictLine(verdict: Verdict): string {
  if (verdict.seen === 'no-buffering') return 'no buffering seen'
  return verdict.seen === 'buffering' ? `buffers: ${verdict.reasons.join('; ')}` : `cannot tell: ${verdict.why}`
}
