/** Cuts a byte stream into lines of bounded length; the rest of one that is longer is dropped, so that a program gone mad cannot grow the agent. */
import { limits } from '../../core/limits.ts'

export function splitLines(output: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = ''
  let dropping = false
  output.setEncoding('utf8')
  output.on('data', (text: string) => {
    const parts = text.split('\n')
    for (const [at, part] of parts.entries()) {
      rest += dropping ? '' : part.slice(0, limits.smiLineMax)
      dropping ||= rest.length > limits.smiLineMax
      if (at === parts.length - 1) break
      if (!dropping && rest.trim() !== '') onLine(rest)
      rest = ''
      dropping = false
    }
  })
  output.on('end', () => {
    if (!dropping && rest.trim() !== '') onLine(rest)
  })
}
