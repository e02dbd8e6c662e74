/**
 * What to do with a connection as time passes: ask its peer whether it is there, give it up, let it go. Decides only; a step every second is enough.
 * Invariants: nobody is asked while no stream is open; within one silence the second question comes no sooner than `askAgainAfter`, because servers
 * count pings that no data parts and cut who sends too many; streams that run are never cut by age or idleness.
 */
import type { Millis } from '../../core/units.ts'

export type LifeRules = {
  /** Silence on a connection with open streams, after which its peer is asked; 0 never. */
  readonly askAfter: Millis
  readonly askAgainAfter: Millis
  /** A peer that was asked and says nothing for so long is gone. */
  readonly answerWithin: Millis
  /** Without SETTINGS by then nobody is there who speaks HTTP/2. */
  readonly settingsWithin: Millis
  /** With no stream for so long it is closed; 0 never. */
  readonly idleMax: Millis
  /** It is retired at this age, give or take a tenth; 0 never. */
  readonly ageMax: Millis
  /** Between the announcement that a connection retires and its doing so. */
  readonly retireGrace: Millis
}

/** What can be seen of a connection. Counters wrap; only a change means something. */
export type Seen = {
  readonly settled: boolean
  readonly streams: number
  /** Reads of anything, and frames that carry messages or heads. */
  readonly reads: number
  readonly talk: number
}

/** `retire`: prepare for its end. `finish`: open nothing more on it. `close`: it has no stream left. `lost`: nobody is there. */
export type LifeStep = 'none' | 'ping' | 'lost' | 'retire' | 'finish' | 'close'

const AGE_SPREAD = 0.2

export class ConnectionLife {
  readonly #rules: LifeRules
  readonly #openedAt: Millis
  readonly #retireAt: number
  #reads = 0
  #talk = 0
  #readAt: Millis
  /** The last question since the peer last said something of substance. */
  #askedAt: Millis | undefined
  #idleSince: Millis | undefined
  #retiredAt: Millis | undefined
  #finished = false

  /** `draw` in [0, 1) spreads the ages, so that connections that were opened together do not retire together. */
  constructor(rules: LifeRules, now: Millis, draw: number) {
    this.#rules = rules
    this.#openedAt = now
    this.#readAt = now
    this.#retireAt = rules.ageMax === 0 ? Number.POSITIVE_INFINITY : now + rules.ageMax * (1 - AGE_SPREAD / 2 + AGE_SPREAD * draw)
  }

  /** `calm` stretches the time between questions for a peer that has complained of them. */
  step(seen: Seen, now: Millis, calm = 1): LifeStep {
    const rules = this.#rules
    this.#note(seen, now)
    if (!seen.settled && now - this.#openedAt >= rules.settingsWithin) return 'lost'
    const unanswered = this.#askedAt !== undefined && this.#readAt <= this.#askedAt
    if (unanswered && now - (this.#askedAt as Millis) >= rules.answerWithin) return 'lost'
    const aging = this.#age(seen, now)
    if (aging !== 'none') return aging
    if (unanswered || seen.streams === 0 || rules.askAfter === 0 || now - this.#readAt < rules.askAfter) return 'none'
    if (this.#askedAt !== undefined && now - this.#askedAt < rules.askAgainAfter * calm) return 'none'
    this.#askedAt = now
    return 'ping'
  }

  #note({ reads, talk, streams }: Seen, now: Millis): void {
    if (talk !== this.#talk) this.#askedAt = undefined
    if (reads !== this.#reads) this.#readAt = now
    this.#talk = talk
    this.#reads = reads
    if (streams > 0) this.#idleSince = undefined
    else this.#idleSince ??= now
  }

  #age({ streams }: Seen, now: Millis): LifeStep {
    const { idleMax, retireGrace } = this.#rules
    if (this.#retiredAt === undefined) {
      if (now >= this.#retireAt) {
        this.#retiredAt = now
        return 'retire'
      }
      return idleMax > 0 && this.#idleSince !== undefined && now - this.#idleSince >= idleMax ? 'close' : 'none'
    }
    if (!this.#finished) {
      if (now - this.#retiredAt < retireGrace) return 'none'
      this.#finished = true
      return 'finish'
    }
    return streams === 0 ? 'close' : 'none'
  }
}
