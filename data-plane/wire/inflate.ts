/** Streaming inflation for the request scanner: synchronous, so that the bytes of a request stay in order without waiting for anybody. */
import { Gunzip, Unzlib } from 'fflate'
import { copyOf } from '../../core/bytes.ts'
import type { Inflater, OpenInflater } from '../grpc/request-scanner.ts'

export const openInflater: OpenInflater = (encoding): Inflater | undefined => {
  const stream = encoding === 'gzip' ? new Gunzip() : encoding === 'deflate' ? new Unzlib() : undefined
  if (stream === undefined) return undefined
  let pieces: Uint8Array[] = []
  stream.ondata = (piece) => {
    if (piece.length > 0) pieces.push(piece)
  }
  return {
    push(bytes, last) {
      pieces = []
      // The library may keep the tail of what it is given; the read that these bytes lie in is reused.
      stream.push(copyOf(bytes, 0, bytes.length), last)
      return pieces
    },
  }
}
