/** Cuts a byte stream into lines of bounded length; the rest of one that is longer is dropped, so that a program gone mad cannot grow the agent. */
import { limits } from '../../core/limits.ts'

export type LineCutter = {
  add(text: string): void
  /** What has no line break yet is a line too. */
  end(): void
}

export function cutLines(onLine: (line: string) => void): LineCutter {
  let rest = ''
  let dropping = false
  return {
    add(text) {
      const parts = text.split('\n')
      for (const [at, part] of parts.entries()) {
        rest += dropping ? '' : part.slice(0, limits.smiLineMax)
        dropping ||= rest.length > limits.smiLineMax
        if (at === parts.length - 1) break
        if (!dropping && rest.trim() !== '') onLine(rest)
        rest = ''
        dropping = false
      }
    },
    end() {
      if (!dropping && rest.trim() !== '') onLine(rest)
    },
  }
}

/** `onPause`: all is told that came together. */
export function splitLines(output: NodeJS.ReadableStream, onLine: (line: string) => void, onPause?: () => void): void {
  const lines = cutLines(onLine)
  output.setEncoding('utf8')
  output.on('data', (text: string) => {
    lines.add(text)
    onPause?.()
  })
  output.on('end', () => {
    lines.end()
    onPause?.()
  })
}
