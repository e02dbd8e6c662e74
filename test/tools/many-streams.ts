/** Opens many token streams over a few connections and keeps an account of every message: which token it is, and how long after the one before it came. */
import { connectGrpc } from './grpc-session.ts'
import { isFinal, MODEL_STREAM_INFER, tokenIndexOf, tokenRequest } from './sim-server.ts'

export type StreamsPlan = {
  readonly connections: number
  readonly streams: number
  readonly tokens: number
  /** No stream ends before: each keeps its own side open until then. */
  readonly until?: Promise<unknown>
}

export type StreamsAccount = {
  readonly messages: number
  /** What was lost, doubled, out of order or badly ended, in words; the first few. */
  readonly faults: readonly string[]
  /** Milliseconds between two messages of one stream. */
  readonly gaps: { readonly p50: number; readonly p99: number; readonly max: number }
}

const FAULTS_KEPT = 10

export async function playStreams(address: string, plan: StreamsPlan): Promise<StreamsAccount> {
  const sessions = await Promise.all(Array.from({ length: plan.connections }, () => connectGrpc(address)))
  const gaps = new Float64Array(plan.streams * (plan.tokens - 1))
  let gapCount = 0
  let messages = 0
  const faults: string[] = []
  const fault = (what: string): void => {
    if (faults.length < FAULTS_KEPT) faults.push(what)
  }
  const play = async (number: number): Promise<void> => {
    const session = sessions[number % sessions.length]
    if (session === undefined) return
    let next = 0
    let last = 0
    const stream = session.open(MODEL_STREAM_INFER, {
      onMessage(message) {
        const now = performance.now()
        const index = tokenIndexOf(message)
        if (index !== next) fault(`stream ${number}: token ${index} came where ${next} was due`)
        if (isFinal(message) !== (index === plan.tokens - 1)) fault(`stream ${number}: token ${index} is wrong about being the last`)
        if (next > 0 && gapCount < gaps.length) gaps[gapCount++] = now - last
        next = index + 1
        last = now
        messages++
      },
    })
    stream.send(tokenRequest({ tokens: plan.tokens }))
    await plan.until
    stream.halfClose()
    const { status, torn, details } = await stream.ended
    if (next !== plan.tokens || torn) fault(`stream ${number}: ended after token ${next - 1}${torn ? ', torn' : ''}`)
    if (status !== 0) fault(`stream ${number}: ended with ${status ?? 'no status'} ${details}`)
  }
  try {
    await Promise.all(Array.from({ length: plan.streams }, (_, number) => play(number)))
  } finally {
    for (const session of sessions) session.destroy()
  }
  const sorted = gaps.subarray(0, gapCount).sort()
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
  return { messages, faults, gaps: { p50: at(0.5), p99: at(0.99), max: at(1) } }
}
