/** What a proxy reads of a message that the endpoints lane sent. */
import { ConnectResponse, type EndpointsDelta } from '../../proto/gen/millrace/mesh/v1/mesh.ts'

export function readDelta(bytes: Uint8Array): EndpointsDelta | undefined {
  const { message } = ConnectResponse.decode(bytes)
  return message?.$case === 'endpoints' ? message.value : undefined
}
