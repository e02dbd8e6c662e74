/** The line that a part prints on stdout when it serves: read by people, by `millrace up` and by tests that asked for port 0. */

export type ReadyLine = { readonly part: string; readonly fields: Readonly<Record<string, string>> }

export function announceReady(part: string, fields: Readonly<Record<string, string>>): void {
  const words = Object.entries(fields).map(([name, value]) => `${name}=${value}`)
  process.stdout.write(`${['ready', part, ...words].join(' ')}\n`)
}

export function parseReadyLine(line: string): ReadyLine | undefined {
  const [ready, part, ...words] = line.trim().split(' ')
  if (ready !== 'ready' || part === undefined) return undefined
  return { part, fields: Object.fromEntries(words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)])) }
}
