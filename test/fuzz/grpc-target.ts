/**
 * The readers of gRPC: the scanner of inference requests beside a protobuf library, the walker of messages, request heads and their deadlines. Each is
 * handed the same bytes whole and cut anywhere, and must say the same; what it accepts is what the library reads, and nothing makes it throw.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { millis } from '../../core/units.ts'
import { MessageWalker } from '../../data-plane/grpc/message-walker.ts'
import { type RequestHead, readRequestHead, upstreamHead } from '../../data-plane/grpc/request-head.ts'
import { RequestScanner } from '../../data-plane/grpc/request-scanner.ts'
import { wishesOf } from '../../data-plane/grpc/scan-wishes.ts'
import { parseTimeout, timeoutField } from '../../data-plane/grpc/timeout.ts'
import { type HeaderField, headerField } from '../../data-plane/http2/header-field.ts'
import { openInflater } from '../../data-plane/wire/inflate.ts'
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import type { Draw } from './draw.ts'
import { drawRequest, type Encoding, type Facts, framed, NAMES } from './infer-bytes.ts'
import { NOISE } from './sent-log.ts'
import { type Counts, must, type Play, type Target } from './target.ts'

const ID_MAX = 1_024
/** Of every model the prompt is asked for: of some by the tensor's name. */
const WISHES = wishesOf(NAMES.map((name, at) => ({ name, policy: 'PREFIX', ...(at % 2 === 0 ? {} : { prompt: { input: 'prompt' } }) })))

type Verdict = Facts & {
  readonly prompt: string
  readonly refusal: string
  readonly routable: boolean
  readonly used: number
  readonly whole: boolean
}

function scan(bytes: Buffer, encoding: Encoding, cut: () => number): Verdict {
  const scanner = new RequestScanner(encoding, openInflater, true, WISHES)
  let used = 0
  while (used < bytes.length && !scanner.whole) {
    // Reads lie in memory that is used again.
    const read = Buffer.from(bytes.subarray(used, used + cut()))
    const stop = scanner.feed(read, 0, read.length)
    must(stop === read.length || scanner.whole || scanner.refusal !== undefined, 'a scanner stops only behind a message')
    read.fill(0xee)
    if (scanner.refusal !== undefined && stop < read.length && !scanner.whole) break
    used += stop
  }
  const { model, version, id, sequence, routable, refusal, whole } = scanner
  const prompt = (scanner.prompt ?? []).join()
  return { model: model ?? '', version, id, sequence: sequence?.id ?? '', routable, refusal: refusal?.reason ?? '', prompt, used, whole }
}

type Texts = { readonly model: string; readonly version: string; readonly id: string }

/** What a library reads at the top level; undefined where it cannot. What lies inside of tensors and parameters is the server's to read. */
function readByLibrary(body: Buffer): Texts | undefined {
  const texts: [string, string, string, string] = ['', '', '', '']
  try {
    const reader = new BinaryReader(body)
    while (reader.pos < reader.len) {
      const [number, type] = reader.tag()
      if (number <= 3 && type === WireType.LengthDelimited) texts[number] = reader.string()
      else reader.skip(type, number)
    }
    if (reader.pos > reader.len) return undefined
  } catch {
    return undefined
  }
  return { model: texts[1], version: texts[2], id: texts[3] }
}

function scanned(draw: Draw): void {
  const { body, facts } = drawRequest(draw)
  const encoding = draw.pick<Encoding>(['identity', 'identity', 'identity', 'gzip', 'deflate'])
  const next = Buffer.from(NOISE.subarray(0, draw.below(20)))
  const bytes = Buffer.concat([framed(body, encoding), next])
  const whole = scan(bytes, encoding, () => bytes.length)
  const largest = draw.pick([1, 3, 50, 5_000])
  const torn = scan(bytes, encoding, () => draw.between(1, bytes.length > 5_000 ? 5_000 : largest))
  // Which of two faults is met first in a compressed message depends on where it is cut.
  const said = ({ refusal, ...rest }: Verdict): string =>
    JSON.stringify(encoding === 'identity' ? { refusal, ...rest } : refusal === '' ? rest : 'refused')
  must(said(whole) === said(torn), `whole: ${said(whole)}, cut: ${said(torn)}: ${bytes.toString('hex').slice(0, 400)}`)
  if (whole.refusal === '')
    must(whole.whole && whole.routable && whole.used === bytes.length - next.length, 'a whole message is seen whole')
  if (facts !== undefined) {
    const wanted = JSON.stringify({ ...facts, refusal: '' })
    const { model, version, id, sequence, refusal } = torn
    must(JSON.stringify({ model, version, id, sequence, refusal }) === wanted, `${wanted} reads as ${said(torn)}`)
  }
  if (whole.refusal !== '') return
  const read = readByLibrary(body)
  must(read !== undefined, `no library reads what was accepted: ${body.toString('hex').slice(0, 400)}`)
  const same = read.model === whole.model && read.version === whole.version && (read.id === whole.id || Buffer.byteLength(read.id) > ID_MAX)
  must(same, `${said(whole)} is ${JSON.stringify(read)} to a library: ${body.toString('hex').slice(0, 400)}`)
  if (facts !== undefined) mustDecode(body, facts)
}

/** The generated code, and so a server, finds the same in it. */
function mustDecode(body: Buffer, facts: Facts): void {
  const { modelName, modelVersion, id, parameters } = ModelInferRequest.decode(body)
  const sequence = String(parameters.sequence_id?.parameterChoice?.value ?? '')
  const found = JSON.stringify({ model: modelName, version: modelVersion, id, sequence })
  must(found === JSON.stringify(facts), `the generated code reads ${found}, written was ${JSON.stringify(facts)}`)
}

function walked(draw: Draw): void {
  const lengths = Array.from({ length: draw.below(12) }, () => draw.size(draw.oneIn(5) ? 70_000 : 300))
  const ends: number[] = []
  const bytes = Buffer.concat(lengths.map((length) => framed(NOISE.subarray(0, length), 'identity')))
  for (const length of lengths) ends.push((ends.at(-1) ?? 0) + 5 + length)
  const until = draw.oneIn(2) ? bytes.length : draw.below(bytes.length + 1)
  const walker = new MessageWalker()
  const largest = draw.pick([1, 4, 700, 70_000])
  for (let at = 0; at < until; ) {
    const end = Math.min(until, at + (largest === 1 && until > 5_000 ? 900 : draw.between(1, largest)))
    const last = ends.findLast((one) => one > at && one <= end) ?? at
    must(walker.lastBoundary(bytes, at, end) === last, `the last message within ${at}..${end} ends at ${last}`)
    if (draw.oneIn(2)) {
      walker.feed(bytes, at, end)
      at = end
    } else {
      const stop = walker.copy().walkMessage(bytes, at, end)
      must(walker.walkMessage(bytes, at, end) === stop, 'a copy walks as its original does')
      must(stop === Math.min(end, ends.find((one) => one > at) ?? end), `a message that ends at ${stop}`)
      at = stop
    }
    must(walker.messages === ends.filter((one) => one <= at).length, `${walker.messages} messages at ${at}`)
    must(walker.torn === !(at === 0 || ends.includes(at)), `torn at ${at}`)
  }
}

const LINES: readonly (readonly [string, readonly string[]])[] = [
  [':method', ['POST', 'GET', 'HEAD', '']],
  [':scheme', ['http', 'https']],
  [':path', ['/a.B/C', '/', '', '*']],
  [':authority', ['host:80', '']],
  [':status', ['200']],
  ['te', ['trailers', 'gzip', '']],
  ['content-type', ['application/grpc', 'application/grpc+proto', 'application/grpc-web', 'text/plain', '']],
  ['grpc-timeout', ['1S', '99999999H', '0n', '100000000m', '-1S', '1', 'S', '12x', '']],
  ['grpc-encoding', ['identity', 'gzip', 'zstd', '']],
  ['content-length', ['0', '12', '-1', '1e3', '99999999999999999', '']],
  ['grpc-previous-rpc-attempts', ['7']],
  ['grpc-message', ['why']],
  ['connection', ['close']],
  ['x-millrace-endpoint', ['mine']],
  ['x-request-id', ['a', 'b', '']],
  ['cookie', ['a=b']],
]
/** What a hop keeps to itself, or writes anew. */
const NOT_FORWARDED = /^(:|te$|grpc-timeout$|grpc-message$|grpc-previous-rpc-attempts$|x-millrace-|connection$)/
const USUAL = [':method', ':scheme', ':path', 'te', 'content-type'].map((name) =>
  headerField(name, LINES.find(([one]) => one === name)?.[1][0] ?? ''),
)

function headsRead(draw: Draw): void {
  const extra = Array.from({ length: draw.below(6) }, () => {
    const [name, values] = draw.pick(LINES)
    return headerField(name, draw.pick(values), draw.oneIn(8))
  })
  const fields: HeaderField[] = draw.oneIn(2) ? [...USUAL, ...extra] : extra
  if (draw.oneIn(5)) fields.sort(() => draw.below(3) - 1)
  const head = readRequestHead(fields)
  if ('kind' in head) return must(fields.length !== USUAL.length || fields.some((one, i) => one !== USUAL[i]), 'a plain head is a head')
  const kept = fields.filter(({ name }) => !NOT_FORWARDED.test(name))
  must(
    head.forward.length === kept.length && head.forward.every((one, i) => one === kept[i]),
    'what goes on goes on as it came, in its order',
  )
  must(head.path !== '' && head.scheme !== undefined, 'a head without a path or a scheme')
  passedOn(head, draw)
}

/** The next hop reads what this one read. */
function passedOn(head: RequestHead, draw: Draw): void {
  const left = head.timeout === undefined ? undefined : millis(draw.oneIn(2) ? head.timeout : draw.part(head.timeout))
  const again = readRequestHead(upstreamHead(head, head.pathField, draw.below(3), left))
  must(!('kind' in again), 'the next hop calls the head malformed')
  const facts = ({ path, encoding, bodyLength, forward }: RequestHead): string =>
    JSON.stringify([path, encoding, bodyLength, forward.map(({ name, text, neverIndexed }) => [name, text, neverIndexed])])
  must(facts(again) === facts(head), `${facts(again)} was ${facts(head)}`)
  must((again.timeout === undefined) === (left === undefined), 'a deadline goes on, and only that')
}

function timed(draw: Draw): void {
  const span = draw.oneIn(10) ? 0 : draw.part(10 ** draw.between(-6, 14))
  const text = timeoutField(millis(span)).text
  const read = parseTimeout(text)
  must(/^\d{1,8}[HMSmun]$/.test(text) && read !== undefined, `${span} ms is written ${text}`)
  must(read >= Math.min(span, 99_999_999 * 3_600_000) * (1 - 1e-9), `${span} ms are cut to ${text}`)
  must(read <= Math.max(0.001, span * 1.001 + 0.001), `${span} ms become ${text}`)
}

const counted =
  (act: (draw: Draw) => void, counts: Counts) =>
  (draw: Draw): void => {
    counts.frames++
    act(draw)
  }

class GrpcPlay implements Play {
  readonly moves: Play['moves']

  constructor(counts: Counts) {
    const acts = { scan: scanned, walk: walked, head: headsRead, time: timed }
    this.moves = Object.fromEntries(Object.entries(acts).map(([name, act]) => [name, counted(act, counts)]))
  }

  end(): void {}
}

export const grpcTarget: Target = {
  name: 'grpc',
  about: 'the readers of inference requests, messages, heads and deadlines; requests beside a protobuf library',
  stepsMax: 60,
  weights: { scan: 12, walk: 3, head: 4, time: 1 },
  start: (_draw, counts) => new GrpcPlay(counts),
}
