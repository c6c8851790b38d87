// Where the bytes of one request lie: pieces of one buffer, in order. A disk reads the file straight into them.

import type { GuestMemory } from '@guestyard/guestmem'
import { assert } from '@guestyard/hvdef'

/**
 * Pieces of one buffer, in the order of the data. Neighbours are merged, so that scattered pages which happen to lie side by side
 * cost one transfer. Made once per request slot and filled anew for each request: nothing is allocated by filling.
 *
 * The pieces were checked by whoever added them: all of them lie inside `bytes`.
 */
export class ScatterList {
  /** What the addresses count in. Guest RAM grows without moving, so an older view stays good. */
  bytes: Uint8Array = NO_BYTES
  /** The guest's RAM when `bytes` is that: a disk in memory copies with a kernel of both memories. */
  memory: GuestMemory | null = null
  /** First byte of each piece. */
  readonly addresses: Uint32Array
  /** Bytes of each piece, above 0. */
  readonly lengths: Uint32Array
  count = 0
  totalBytes = 0
  /** Just past the last piece. */
  #end = 0

  /** Room for so many pieces. */
  constructor(maxPieces: number) {
    this.addresses = new Uint32Array(maxPieces)
    this.lengths = new Uint32Array(maxPieces)
  }

  /** Empties the list, over guest RAM. HOT. */
  beginGuest(memory: GuestMemory): void {
    this.memory = memory
    this.bytes = memory.u8
    this.count = 0
    this.totalBytes = 0
  }

  /** Empties the list, over bytes of the host's own. */
  beginBytes(bytes: Uint8Array): void {
    this.memory = null
    this.bytes = bytes
    this.count = 0
    this.totalBytes = 0
  }

  /** One piece more, checked by the caller. False: there is no room for another. HOT. */
  add(address: number, lengthBytes: number): boolean {
    assert(lengthBytes > 0, 'A piece has bytes.')
    if (this.count > 0 && address === this.#end) {
      this.lengths[this.count - 1]! += lengthBytes
    } else {
      if (this.count === this.addresses.length) return false
      this.addresses[this.count] = address
      this.lengths[this.count] = lengthBytes
      this.count += 1
    }
    this.#end = address + lengthBytes
    this.totalBytes += lengthBytes
    return true
  }
}

const NO_BYTES: Uint8Array = new Uint8Array(0)
