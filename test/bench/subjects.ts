/** Names what a function of the worker is about, for the summary of a profile. The first rule that fits decides. */

export const IDLE = 'idle'
export const WRITES = 'socket writes'

type Frame = { readonly functionName: string; readonly url: string; readonly lineNumber: number }

const BY_FILE: readonly (readonly [RegExp, string])[] = [
  [/data-plane\/http2\/(hpack|header|huffman|dynamic-table|static-table)/, 'header compression'],
  [/data-plane\/http2\/(output|byte-arena|byte-queue)/, 'writing frames'],
  [/data-plane\/http2\//, 'walking frames, streams, credit'],
  [/data-plane\/grpc\/(request-scanner|message-walker)/, 'scanning messages'],
  [/data-plane\/grpc\//, 'request and answer heads'],
  [/data-plane\/routing\//, 'picking an endpoint, ledger'],
  [/data-plane\/admission\//, 'timers and retry budget'],
  [/data-plane\/(relay|serve-request)/, 'the exchange'],
  [/data-plane\/wire\/(socket-link|read-buffer|upstream-pool|upstream-call|dial|worker)/, 'sockets, our side'],
  [/data-plane\//, 'other code of the proxy'],
  [/^node:/, 'Node’s JavaScript'],
]

/** Functions of Node's C++ and states of the engine; they have no file. */
const BY_NAME: Readonly<Record<string, string>> = {
  '(garbage collector)': 'garbage collection',
  '(program)': 'outside JavaScript',
  '(idle)': IDLE,
  writev: WRITES,
  writeBuffer: WRITES,
  writeLatin1String: WRITES,
  writeUtf8String: WRITES,
  shutdown: WRITES,
}

export function subjectOf({ functionName, url, lineNumber }: Frame): { readonly subject: string; readonly where: string } {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '') return { subject: BY_NAME[name] ?? 'other native functions', where: name }
  const subject = BY_FILE.find(([pattern]) => pattern.test(url))?.[1] ?? 'packages'
  const file = url.startsWith('node:') ? url : (/((?:data-plane|core|node_modules)\/.*)$/.exec(url)?.[1] ?? url)
  return { subject, where: `${name} ${file}:${lineNumber + 1}` }
}
