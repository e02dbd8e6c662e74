/** A binary heap whose members know their places, so that one can leave from the middle or be moved when its rank has changed, each in O(log n). */

export const NOWHERE = -1

/** A member stands in one heap at most; whoever makes it sets NOWHERE, afterwards the heap alone writes it. */
export type Placed = { place: number }

export class PlacedHeap<Item extends Placed> {
  /** The first is at 0; the others in no order that means anything. */
  readonly items: Item[] = []
  readonly #before: (a: Item, b: Item) => boolean

  constructor(before: (a: Item, b: Item) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.items.length
  }

  get first(): Item | undefined {
    return this.items[0]
  }

  push(item: Item): void {
    item.place = this.items.push(item) - 1
    this.#rise(item)
  }

  remove(item: Item): void {
    const last = this.items.pop() as Item
    if (last !== item) {
      this.items[item.place] = last
      last.place = item.place
      this.moved(last)
    }
    item.place = NOWHERE
  }

  /** Its rank has changed. */
  moved(item: Item): void {
    this.#rise(item)
    this.#sink(item)
  }

  #rise(item: Item): void {
    const { items } = this
    let at = item.place
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = items[up] as Item
      if (!this.#before(item, parent)) break
      items[at] = parent
      parent.place = at
      at = up
    }
    items[at] = item
    item.place = at
  }

  #sink(item: Item): void {
    const { items } = this
    let at = item.place
    for (let child = 2 * at + 1; child < items.length; child = 2 * at + 1) {
      const right = items[child + 1]
      let least = items[child] as Item
      if (right !== undefined && this.#before(right, least)) {
        least = right
        child++
      }
      if (!this.#before(least, item)) break
      items[at] = least
      least.place = at
      at = child
    }
    items[at] = item
    item.place = at
  }
}
