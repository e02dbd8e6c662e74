/** One stream of the connection under test, as its peer and its owner each know it. Neither reads the engine's own state. */
import type { HeaderField } from '../../data-plane/http2/header-field.ts'
import type { Stream } from '../../data-plane/http2/stream.ts'
import type { Line } from './hpack-writer.ts'
import { SentLog } from './sent-log.ts'

export class Lane {
  readonly id: number
  /** From the peer to the engine's owner, and the other way. */
  readonly up: SentLog
  readonly down: SentLog
  /** Heads on their way, as text. */
  readonly headsUp: string[] = []
  readonly headsDown: string[] = []

  // What the peer has done, and what it has heard.
  peerHead = false
  peerEnded = false
  peerReset = false
  engineHead = false
  engineEnded = false
  engineReset = false
  /** Above the last stream of the peer's GOAWAY. */
  dropped = false
  /** What the peer may send, and what it allows the engine. */
  sendWindow = 0
  receiveWindow = 0

  // What the owner has done, and what it has heard.
  stream: Stream | undefined
  ownerHead = false
  ownerEnded = false
  ownerReset = false
  heardHead = false
  heardEnd = false
  /** The engine said that the stream is over. */
  told = false
  /** Bytes whose credit the owner holds back. */
  held = 0

  constructor(id: number) {
    this.id = id
    this.up = new SentLog(`stream ${id}, to the engine`)
    this.down = new SentLog(`stream ${id}, from the engine`)
  }

  /** The peer may go on sending a body, by all it knows. */
  get peerMaySend(): boolean {
    return this.peerHead && !this.peerEnded && !this.peerGone
  }

  /** Nobody cares any more for what the peer would send. */
  get peerGone(): boolean {
    return this.peerReset || this.engineReset || this.dropped
  }

  get ownerMaySend(): boolean {
    return this.stream !== undefined && this.ownerHead && !this.ownerEnded && !this.ownerReset && !this.told
  }

  /** Somebody cut it short: what is still on the way may be lost. */
  get cut(): boolean {
    return this.peerGone || this.ownerReset || this.told
  }
}

export const textOfLines = (lines: readonly Line[]): string => lines.map(([name, value]) => `${name}: ${value}`).join('\n')
export const textOfFields = (fields: readonly HeaderField[]): string => fields.map((field) => `${field.name}: ${field.text}`).join('\n')
