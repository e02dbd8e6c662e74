/** One unary call of the proxy's own to an endpoint, on the same connections as the traffic. Bounded in size and time; never retried. */
import { limits } from '../../core/limits.ts'
import { GRPC, messageOf, statusOf, statusOfReset } from '../grpc/status.ts'
import type { Connection } from '../http2/connection.ts'
import { type HeaderField, headerField } from '../http2/header-field.ts'
import { ERROR } from '../http2/protocol.ts'
import type { LossCause, Stream, StreamSink } from '../http2/stream.ts'
import { LOSS_WORDS } from '../relay/attempt-failure.ts'

export type CallResult = { readonly status: number; readonly detail: string; readonly message: Buffer }

const NOTHING = Buffer.alloc(0)

/** `framed` is the request with its gRPC prefix; the answer's message comes without. */
export function callUnary(connection: Connection, path: string, authority: string, framed: Uint8Array): Promise<CallResult> {
  return new Promise((resolve) => {
    const parts: Buffer[] = []
    let length = 0
    const done = (result: CallResult): void => {
      clearTimeout(late)
      resolve(result)
    }
    const fail = (status: number, detail: string): void => done({ status, detail, message: NOTHING })
    const finish = (fields: readonly HeaderField[]): void => {
      const status = statusOf(fields) ?? GRPC.UNKNOWN
      const answer = Buffer.concat(parts)
      if (status === GRPC.OK && (answer.length < 5 || answer[0] !== 0))
        return fail(GRPC.INTERNAL, 'the answer is not one plain gRPC message')
      done({ status, detail: messageOf(fields), message: answer.subarray(5) })
    }
    const sink: StreamSink = {
      onHead: (_stream, fields, endStream) => {
        if (endStream) finish(fields)
      },
      onData: (stream: Stream, source, start, end, endStream) => {
        parts.push(Buffer.from(source.subarray(start, end)))
        length += end - start
        stream.returnCredit(end - start, true)
        if (length > limits.localMessageMax) {
          stream.reset(ERROR.CANCEL)
          fail(GRPC.RESOURCE_EXHAUSTED, `the answer exceeds ${limits.localMessageMax} bytes`)
        } else if (endStream) fail(GRPC.UNKNOWN, 'the server ended without a status')
      },
      onTrailers: (_stream, fields) => finish(fields),
      onReset: (_stream, code) => fail(statusOfReset(code), `the server reset the stream (code ${code})`),
      onLost: (_stream, cause: LossCause) => fail(GRPC.UNAVAILABLE, LOSS_WORDS[cause]),
      onSent: () => {},
    }
    const stream = connection.open(
      [
        headerField(':method', 'POST'),
        headerField(':scheme', 'http'),
        headerField(':path', path),
        headerField(':authority', authority),
        headerField('te', 'trailers'),
        headerField('content-type', 'application/grpc'),
        headerField('grpc-timeout', `${limits.localCallTimeout}m`),
      ],
      false,
    )
    stream.sink = sink
    const late = setTimeout(() => {
      stream.reset(ERROR.CANCEL)
      fail(GRPC.DEADLINE_EXCEEDED, `no answer within ${limits.localCallTimeout} ms`)
    }, limits.localCallTimeout)
    stream.sendData(framed, 0, framed.length, true)
  })
}
