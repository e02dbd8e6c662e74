/** The message by which one request of a stream fails while the stream goes on, as Triton writes it. */
import { ModelInferResponse, ModelStreamInferResponse } from '../../proto/gen/inference/grpc_service.ts'

const PREFIX = 5

/** With its gRPC prefix. An empty text would be no error to a client. */
export function streamError(id: string, text: string): Uint8Array {
  const inferResponse = ModelInferResponse.fromPartial({ id })
  const body = ModelStreamInferResponse.encode({ errorMessage: text === '' ? 'the request failed' : text, inferResponse }).finish()
  const framed = new Uint8Array(PREFIX + body.length)
  new DataView(framed.buffer).setUint32(1, body.length)
  framed.set(body, PREFIX)
  return framed
}
