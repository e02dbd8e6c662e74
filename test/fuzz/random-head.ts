/** Heads that HTTP/2 allows, with names and values of every length and of every character that may stand there. */
import type { Draw } from './draw.ts'
import type { Line } from './hpack-writer.ts'

const NAMES = ['x-request-id', 'traceparent', 'authorization', 'user-agent', 'grpc-timeout-like', 'x-a', `x-${'long'.repeat(60)}`, 'cookie']
const USUAL = ['', 'a', 'usual', 'Bearer 0123456789abcdef', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01']

function randomValue(draw: Draw): string {
  if (draw.oneIn(2)) return draw.pick(USUAL)
  const length = draw.oneIn(40) ? draw.below(3_000) : draw.below(60)
  const wide = draw.oneIn(3)
  const text = Array.from({ length }, () =>
    String.fromCharCode(wide && draw.oneIn(3) ? draw.between(0x80, 0xff) : draw.between(0x20, 0x7e)),
  )
  return text.join('').trim()
}

const someLines = (draw: Draw): Line[] =>
  Array.from({ length: draw.below(draw.oneIn(10) ? 40 : 6) }, () => [
    draw.oneIn(3) ? `x-${draw.below(1_000)}` : draw.pick(NAMES),
    randomValue(draw),
  ])

export const requestLines = (draw: Draw): Line[] => [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', `/fuzz.Service/Call${draw.below(20)}`],
  ...(draw.oneIn(4) ? [] : ([[':authority', `host-${draw.below(4)}:80`]] as Line[])),
  ['te', 'trailers'],
  ['content-type', 'application/grpc'],
  ...someLines(draw),
]

export const responseLines = (draw: Draw): Line[] => [
  [':status', draw.pick(['200', '200', '404', '503'])],
  ['content-type', 'application/grpc'],
  ...someLines(draw),
]

export const informationalLines = (draw: Draw): Line[] => [[':status', draw.pick(['100', '103'])], ...someLines(draw)]

export const trailerLines = (draw: Draw): Line[] => [['grpc-status', String(draw.below(17))], ...someLines(draw)]
