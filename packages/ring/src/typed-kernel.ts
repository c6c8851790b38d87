// HOT. The ring kernel in plain TypeScript, over any SharedArrayBuffer: what tests hold the
// WebAssembly text to, and what runs where multi-memory is missing. Function by function the same
// as ring-kernel.wat, on the same private state.
//
// | Shared word          | Written by | Read by  | Rule                                           |
// |----------------------|------------|----------|------------------------------------------------|
// | `in` (word 0)        | sender     | receiver | published after the packet; receiver validates |
// | `out` (1)            | receiver   | sender   | published after the last byte was copied out   |
// | `interruptMask` (2)  | receiver   | sender   | sender reads it after storing `in`             |
// | `pendingSendSize` (3)| sender     | receiver | receiver reads it after storing `out`          |
// | `featureBits` (16)   | sender     | receiver | fixed before the ring is used                  |

import type { KernelCalls } from './kernel-calls.ts'
import { RingFault } from './ring-fault.ts'
import * as layout from './state-layout.ts'
import { TypedOutgoing } from './typed-outgoing.ts'
import { distance } from './typed-rings.ts'

// Offsets of state-layout.ts as word indices.
const CONTROL = layout.CONTROL >> 2
const SIZE = layout.SIZE >> 2
const FAULT = layout.FAULT >> 2
const NEXT = layout.NEXT >> 2
const PUBLISHED = layout.PUBLISHED >> 2
const PEER = layout.PEER >> 2
const MAX_TOTAL = layout.MAX_TOTAL >> 2
const AREA_AT = layout.AREA_AT >> 2
const AREA_BYTES = layout.AREA_BYTES >> 2
const TABLE_AT = layout.TABLE_AT >> 2
const TABLE_COUNT = layout.TABLE_COUNT >> 2
const ACCEPT = layout.ACCEPT >> 2
const MAX_RANGES = layout.MAX_RANGES >> 2
const TYPICAL = layout.TYPICAL >> 2
const PEEKED = layout.PEEKED >> 2
const PUBLISHES = layout.PUBLISHES >> 2
const SIGNALS = layout.SIGNALS >> 2
const WINDOW_AT = layout.WINDOW_AT >> 2
const WINDOW_END = layout.WINDOW_END >> 2
const DESCRIPTOR_BYTES = 16
const IN = layout.CONTROL_IN >> 2
const OUT = layout.CONTROL_OUT >> 2
const PENDING_WORD = layout.CONTROL_PENDING >> 2
const FEATURES = layout.CONTROL_FEATURES >> 2
/** Types that carry ranges, as a bitmap: 7 and 9. */
const RANGED_TYPES = 0x280
const TYPE_TRANSFER_PAGES = 7

/** Receiving, on top of the sending half. */
export class TypedKernel extends TypedOutgoing implements KernelCalls {
  #readIn(w: number): boolean {
    const i32 = this.i32
    const incoming = Atomics.load(this.sharedI32, (i32[w + CONTROL]! >>> 2) + IN)
    const peer = i32[w + PEER]!
    if (incoming === peer) return true
    const size = i32[w + SIZE]!
    if (incoming >>> 0 >= size || (incoming & 7) !== 0) {
      i32[w + FAULT] = RingFault.BAD_WRITE_INDEX
      return false
    }
    const published = i32[w + PUBLISHED]!
    if (distance(published, incoming, size) < distance(published, peer, size)) {
      i32[w + FAULT] = RingFault.WRITE_INDEX_REWOUND
      return false
    }
    i32[w + PEER] = incoming
    return true
  }

  /** The fault of the descriptor with these words, or NONE. */
  #checkDescriptor(w: number, low: number, high: number, available: number): RingFault {
    const offset8 = low >>> 16
    const length8 = high & 0xffff
    if (offset8 < 2 || offset8 > length8) return RingFault.BAD_OFFSET
    if (length8 * 8 + 8 > available) return RingFault.LENGTH_BEYOND_INDEX
    if (high >>> 17 !== 0) return RingFault.BAD_FLAGS
    const type = low & 0xffff
    if (type > 31 || ((this.i32[w + ACCEPT]! >>> type) & 1) === 0) return RingFault.UNKNOWN_TYPE
    if (length8 * 8 + 8 > this.i32[w + MAX_TOTAL]!) return RingFault.PACKET_TOO_LARGE
    return RingFault.NONE
  }

  /** The fault of the ranges in the private copy of a packet, or NONE. */
  #checkRanges(w: number, at: number, offset: number, type: number): RingFault {
    const i32 = this.i32
    if (offset < 24) return RingFault.SHORT_HEADER
    const count = i32[(at >> 2) + 5]! >>> 0
    if (count > i32[w + MAX_RANGES]!) return RingFault.TOO_MANY_RANGES
    if (type === TYPE_TRANSFER_PAGES) {
      return count > (offset - 24) >>> 3 ? RingFault.SHORT_HEADER : RingFault.NONE
    }
    if (count === 0) return RingFault.NO_RANGES
    let cursor = at + 24
    const end = at + offset
    for (let range = 0; range < count; range += 1) {
      if (end - cursor < 8) return RingFault.BAD_RANGE
      const bytes = i32[cursor >> 2]! >>> 0
      const first = i32[(cursor >> 2) + 1]! >>> 0
      if (bytes === 0 || first > 4095 || bytes > 0xfffff000 - first) return RingFault.BAD_RANGE
      const pages = (bytes + first + 4095) >>> 12
      cursor += 8
      if (pages > (end - cursor) >>> 3) return RingFault.BAD_RANGE
      cursor += pages * 8
    }
    return RingFault.NONE
  }

  /**
   * Copies ring bytes behind those that wait in the arena between `at` and `end`, which begin at
   * ring offset `next`, so that `need` of the `available` bytes are there, and up to `wanted` more.
   * Returns the new end, 0 when the arena has no room.
   */
  #fetch(
    w: number,
    at: number,
    end: number,
    next: number,
    available: number,
    need: number,
    wanted: number,
  ): number {
    const room = this.i32[w + AREA_AT]! + this.i32[w + AREA_BYTES]! - at
    if (need > room) return 0
    const have = end - at
    const most = Math.min(Math.max(wanted, layout.FETCH_MIN_BYTES), layout.FETCH_MAX_BYTES)
    const ahead = Math.min(available - have, most, room - have)
    const amount = Math.max(ahead, need - have)
    this.copyOut(w, next + have, end, amount)
    return end + amount
  }

  receive(s: number, max: number): number {
    const w = s >> 2
    const i32 = this.i32
    if (i32[w + FAULT] !== 0 || !this.#readIn(w)) return 0
    const size = i32[w + SIZE]!
    let next = i32[w + NEXT]!
    const announced = distance(next, i32[w + PEER]!, size)
    let available = announced
    const area = i32[w + AREA_AT]!
    let at = i32[w + WINDOW_AT]!
    let end = i32[w + WINDOW_END]!
    if (at === end) at = end = area
    const index = i32[w + TABLE_AT]! >> 2
    const limit = Math.min(max >>> 0, i32[w + TABLE_COUNT]!)
    let count = 0
    let fault: RingFault = RingFault.NONE
    while (available !== 0) {
      let need = DESCRIPTOR_BYTES
      if (end - at >= need) {
        // The private copy: nobody can change it between the checks and the use.
        fault = this.#checkDescriptor(w, i32[at >> 2]!, i32[(at >> 2) + 1]!, available)
        if (fault !== RingFault.NONE) break
        need = this.batchedBytes(at)
      }
      if (end - at < need) {
        if (available < DESCRIPTOR_BYTES) {
          fault = RingFault.TRUNCATED_DESCRIPTOR
          break
        }
        // As much as the packets still asked for will take, if they are like the last one: what is
        // fetched too early leaves the cache again.
        const wanted = (limit - count) * i32[w + TYPICAL]!
        const fetched = this.#fetch(w, at, end, next, available, need, wanted)
        if (fetched !== 0) {
          end = fetched
          continue
        }
        // No room behind the packets of this batch: end it. The next one starts over at the arena's
        // begin, and copies and validates this packet anew.
        end = at
        if (count !== 0) break
        if (at === area) {
          // Nor is there any in the whole arena: without this no batch would ever end.
          fault = RingFault.PACKET_TOO_LARGE
          break
        }
        at = end = area
        continue
      }
      const low = i32[at >> 2]!
      if (((RANGED_TYPES >>> (low & 31)) & 1) !== 0) {
        fault = this.#checkRanges(w, at, (low >>> 16) << 3, low & 0xffff)
        if (fault !== RingFault.NONE) break
      }
      i32[index + count * 2] = at - area
      i32[index + count * 2 + 1] = at - area + ((low >>> 16) << 3)
      count += 1
      at += need
      available -= need
      next += need
      if (next >= size) next -= size
      if (count >= limit) break
    }
    if (count === 0) {
      i32[w + FAULT] = fault
      return 0
    }
    i32[w + WINDOW_AT] = at
    i32[w + WINDOW_END] = end
    i32[w + TYPICAL] = at - area - i32[index + (count - 1) * 2]!
    i32[w + NEXT] = next
    this.countMoved(w, count, announced - available)
    return count
  }

  peek(s: number): number {
    const w = s >> 2
    const i32 = this.i32
    if (i32[w + FAULT] !== 0 || !this.#readIn(w)) return 0
    const next = i32[w + NEXT]!
    const available = distance(next, i32[w + PEER]!, i32[w + SIZE]!)
    if (available === 0) return 0
    const area = i32[w + AREA_AT]!
    i32[w + WINDOW_AT] = area
    i32[w + WINDOW_END] = area
    const fault = this.#peekAt(w, next, available, area)
    if (fault !== RingFault.NONE) {
      i32[w + FAULT] = fault
      return 0
    }
    i32[i32[w + TABLE_AT]! >> 2] = 0
    i32[(i32[w + TABLE_AT]! >> 2) + 1] = (i32[area >> 2]! >>> 16) << 3
    i32[w + PEEKED] = this.batchedBytes(area)
    return 1
  }

  /**
   * Copies descriptor and header of the packet at ring offset `next` to `area`, and finds its
   * fault.
   */
  #peekAt(w: number, next: number, available: number, area: number): RingFault {
    const i32 = this.i32
    if (available < DESCRIPTOR_BYTES) return RingFault.TRUNCATED_DESCRIPTOR
    this.copyOut(w, next, area, DESCRIPTOR_BYTES)
    const low = i32[area >> 2]!
    const fault = this.#checkDescriptor(w, low, i32[(area >> 2) + 1]!, available)
    if (fault !== RingFault.NONE) return fault
    const offset = (low >>> 16) << 3
    // The header fits the arena, since a packet that is not too large does.
    this.copyOut(w, next + DESCRIPTOR_BYTES, area + DESCRIPTOR_BYTES, offset - DESCRIPTOR_BYTES)
    const ranged = ((RANGED_TYPES >>> (low & 31)) & 1) !== 0
    return ranged ? this.#checkRanges(w, area, offset, low & 0xffff) : RingFault.NONE
  }

  consume(s: number): void {
    const w = s >> 2
    const i32 = this.i32
    const total = i32[w + PEEKED]!
    const next = i32[w + NEXT]! + total
    i32[w + PEEKED] = 0
    i32[w + NEXT] = next >= i32[w + SIZE]! ? next - i32[w + SIZE]! : next
    this.countMoved(w, 1, total)
  }

  release(s: number): number {
    const w = s >> 2
    const i32 = this.i32
    const shared = this.sharedI32
    const next = i32[w + NEXT]!
    const old = i32[w + PUBLISHED]!
    if (next === old || i32[w + FAULT] !== 0) return 0
    const control = i32[w + CONTROL]! >>> 2
    this.count(w + PUBLISHES, 1)
    // ORDER: the store comes after the last byte was copied out, and before the load of the pending
    // size. The sender stores its pending size, then reads `out`: either it sees the space, or this
    // sees that it waits.
    Atomics.store(shared, control + OUT, next)
    // From here on the sender may write where the packets were: `in` is judged by the new `out`.
    i32[w + PUBLISHED] = next
    const pending = Atomics.load(shared, control + PENDING_WORD) & -8
    if (pending === 0 || !this.#readIn(w)) return 0
    if ((Atomics.load(shared, control + FEATURES) & 1) === 0) return 0
    // Only the edge: what was free before was too little, what is free now is enough. `mostUsed`
    // may be in use; a request for more than the ring holds never gets its edge.
    const size = i32[w + SIZE]!
    const mostUsed = (size - 8 - pending) | 0
    if (mostUsed >>> 0 >= size) return 0
    const used = distance(next, i32[w + PEER]!, size)
    const signal = used <= mostUsed && used + distance(old, next, size) > mostUsed ? 1 : 0
    this.count(w + SIGNALS, signal)
    return signal
  }
}
