/** What the peer's SETTINGS say, checked entry by entry (RFC 9113 §6.5.2). Knows no streams: the connection applies what it reads here. */
import { limits } from '../../core/limits.ts'
import { ERROR, SETTING, WINDOW_DEFAULT, WINDOW_MAX } from './protocol.ts'

export class PeerSettings {
  readonly #isClient: boolean
  /** Of a stream that we open or answer on. */
  initialWindow: number = WINDOW_DEFAULT
  /** Streams that we may have open. A server that names no limit has none; until it has spoken, one is assumed. */
  streamsMax: number
  #streamsNamed = false

  /** `isClient`: whether we are the client. */
  constructor(isClient: boolean) {
    this.#isClient = isClient
    this.streamsMax = isClient ? limits.upstreamStreamsAssumed : 0
  }

  /** Takes one entry over; the error code where it has no such value. */
  take(id: number, value: number): number {
    switch (id) {
      case SETTING.INITIAL_WINDOW_SIZE:
        if (value > WINDOW_MAX) return ERROR.FLOW_CONTROL_ERROR
        this.initialWindow = value
        return ERROR.NO_ERROR
      case SETTING.MAX_CONCURRENT_STREAMS:
        if (!this.#isClient) return ERROR.NO_ERROR
        this.streamsMax = value
        this.#streamsNamed = true
        return ERROR.NO_ERROR
      case SETTING.ENABLE_PUSH:
        return value > 1 || (value === 1 && this.#isClient) ? ERROR.PROTOCOL_ERROR : ERROR.NO_ERROR
      case SETTING.MAX_FRAME_SIZE:
        return value < limits.frameSizeMax || value > 0xffffff ? ERROR.PROTOCOL_ERROR : ERROR.NO_ERROR
      default:
        return ERROR.NO_ERROR
    }
  }

  /** The first SETTINGS are whole. */
  end(): void {
    if (!this.#isClient || this.#streamsNamed) return
    this.#streamsNamed = true
    this.streamsMax = WINDOW_MAX
  }
}
