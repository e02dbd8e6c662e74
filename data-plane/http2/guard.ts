/**
 * Decides when a peer costs more than it is due. Two purses, kept as plain numbers and filled again each second, since the engine has no clock:
 * one for resets, whoever sends them, and one for frames that are cheap to send and carry nothing. What honest peers send of the latter follows what
 * we send them (a window update or a probe for DATA that came), so each such frame of ours pays for some of theirs.
 * Invariant: a connection on which a peer only costs is ended after a burst; one that moves data is not, except where the data is drawn out of us in
 * frames below `dribbleBelow`: these earn nothing, so a peer that asks for each with a frame of its own counts as one that only costs.
 */
import { limits } from '../../core/limits.ts'

export const GUARDS = [
  'rapid-reset',
  'provoked-reset',
  'settings-flood',
  'ping-flood',
  'window-update-flood',
  'priority-flood',
  'empty-frame-flood',
  'stray-frame-flood',
  'continuation-flood',
  'header-list',
  'slow-handshake',
  'slow-headers',
  'stalled-stream',
  'waiting-bytes',
  'unread-output',
  'protocol',
] as const

export type Guard = (typeof GUARDS)[number]

export class Purse {
  /** What was earned since the last look: a plain number that whoever sends DATA adds to. */
  earned = 0
  #resets: number = limits.resetBurst
  #cheap: number = limits.cheapFramesBurst

  /** A reset, the peer's own or one that it made us send; false: too many. */
  takeReset(): boolean {
    return --this.#resets >= 0
  }

  /** Frames that are cheap to send; false: too many. */
  takeCheap(count: number): boolean {
    this.#cheap -= count
    if (this.#cheap >= 0) return true
    // What was earned is only looked at when it is needed, and never saved beyond the burst.
    this.#cheap = Math.min(limits.cheapFramesBurst, this.#cheap + this.earned)
    this.earned = 0
    return this.#cheap >= 0
  }

  everySecond(): void {
    this.#resets = Math.min(limits.resetBurst, this.#resets + limits.resetsPerSecond)
    this.#cheap = Math.min(limits.cheapFramesBurst, this.#cheap + limits.cheapFramesPerSecond + this.earned)
    this.earned = 0
  }
}
