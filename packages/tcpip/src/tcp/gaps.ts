// What has come ahead of its turn: pieces behind the next byte in order, as offsets from it. Few are kept: a sender whose segments make more
// holes than that sends some of them again.

const PIECES_MAX = 32

export class Gaps {
  /** Pairs of offsets, begin and end, in order, apart from each other. */
  readonly #edges = new Int32Array(2 * (PIECES_MAX + 1))
  #count = 0

  get isEmpty(): boolean {
    return this.#count === 0
  }

  /** A piece has come. False: it would be one too many, and is not kept. `begin` is over 0: what is in order is no piece. */
  add(begin: number, end: number): boolean {
    const edges = this.#edges
    let at = 0
    while (at < this.#count && edges[2 * at + 1]! < begin) at += 1
    let last = at
    let [from, to] = [begin, end]
    while (last < this.#count && edges[2 * last]! <= end) {
      from = Math.min(from, edges[2 * last]!)
      to = Math.max(to, edges[2 * last + 1]!)
      last += 1
    }
    if (last === at && this.#count === PIECES_MAX) return false
    edges.copyWithin(2 * at + 2, 2 * last, 2 * this.#count)
    edges[2 * at] = from
    edges[2 * at + 1] = to
    this.#count += 1 - (last - at)
    return true
  }

  /** Bytes in order have come: how many are in order now, with the pieces that join them. Offsets count from there afterwards. */
  join(bytes: number): number {
    const edges = this.#edges
    let inOrder = bytes
    let joined = 0
    while (joined < this.#count && edges[2 * joined]! <= inOrder) {
      inOrder = Math.max(inOrder, edges[2 * joined + 1]!)
      joined += 1
    }
    edges.copyWithin(0, 2 * joined, 2 * this.#count)
    this.#count -= joined
    for (let at = 0; at < 2 * this.#count; at += 1) edges[at]! -= inOrder
    return inOrder
  }
}
