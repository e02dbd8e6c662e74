/**
 * The queue of one model: priority bands, each shared fairly among its tenants, within bounds of number and of bytes.
 * When it is full, the lowest band gives way: the newest request of whoever has the most waiting there. Within its own band a request displaces only one of a
 * tenant that has more waiting than its own, so nobody fills the queue against the others.
 * Invariants: a request gets in as long as anybody of a lower band waits; nobody of a lower band goes while one of a higher waits.
 */
import type { Millis } from '../../core/units.ts'
import { FairBand, type Tenant } from './fair-band.ts'
import type { Pass } from './pass.ts'
import { NOWHERE } from './placed-heap.ts'

export type LineBounds = { readonly requests: number; readonly bytes: number }

export class WaitingLine<Holder> {
  count = 0
  bytes = 0
  /** Highest first. */
  readonly bands: FairBand<Holder>[] = []

  band(at: number): FairBand<Holder> {
    while (this.bands.length <= at) this.bands.push(new FairBand())
    return this.bands[at] as FairBand<Holder>
  }

  join(pass: Pass<Holder>): void {
    this.band(pass.band).join(pass)
    this.count++
    this.bytes += pass.bytes
  }

  /** Of the highest band in which anybody waits, also where all of them hold back. */
  next(places: number, now: Millis): Pass<Holder> | undefined {
    const pass = this.#first?.next(places, now)
    return pass === undefined ? undefined : this.#left(pass)
  }

  /** When somebody may go who holds back now. */
  get heldUntil(): Millis | undefined {
    return this.#first?.heldUntil
  }

  leave(pass: Pass<Holder>): void {
    if (pass.place === NOWHERE) return
    this.band(pass.band).leave(pass)
    this.#left(pass)
  }

  /** Takes out one that has to give way to the newcomer; 'none' when there is room, undefined when the newcomer itself has to. */
  makeWay(newcomer: Pass<Holder>, bounds: LineBounds): Pass<Holder> | 'none' | undefined {
    if (this.count < bounds.requests && this.bytes + newcomer.bytes <= bounds.bytes) return 'none'
    const victim = this.#victim(newcomer)
    if (victim !== undefined) this.leave(victim)
    return victim
  }

  /** Work that is begun before the request is. */
  workBefore(pass: Pass<Holder>): number {
    let before = this.band(pass.band).workBefore(pass)
    for (let higher = 0; higher < pass.band; higher++) before += this.bands[higher]?.queuedWork ?? 0
    return before
  }

  get #first(): FairBand<Holder> | undefined {
    for (const band of this.bands) if (band.count > 0) return band
    return undefined
  }

  #victim({ band, tenant, work }: Pass<Holder>): Pass<Holder> | undefined {
    for (let lowest = this.bands.length - 1; lowest > band; lowest--) {
      const fattest = this.bands[lowest]?.fattest
      if (fattest !== undefined) return newestOf(fattest)
    }
    const fattest = this.bands[band]?.fattest
    if (fattest === undefined || fattest === tenant) return undefined
    const fatter = fattest.queuedWork / fattest.weight > (tenant.queuedWork + work) / tenant.weight
    return fatter ? newestOf(fattest) : undefined
  }

  #left(pass: Pass<Holder>): Pass<Holder> {
    this.count--
    this.bytes -= pass.bytes
    return pass
  }
}

function newestOf<Holder>({ waiting }: Tenant<Holder>): Pass<Holder> | undefined {
  let newest: Pass<Holder> | undefined
  for (const pass of waiting.items) if (newest === undefined || pass.order > newest.order) newest = pass
  return newest
}
