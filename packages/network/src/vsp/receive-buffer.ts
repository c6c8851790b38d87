// HOT
// The guest's receive buffer: sub-allocations of one size. One is the host's until a packet with it is published, then the guest's until
// its completion comes. A completion for what is not the guest's, or of an earlier use, changes nothing.

import { PAGE_SIZE } from '@guestyard/hvdef'
import { SlatRight } from '@guestyard/guestmem'
import type { GuestMemory } from '@guestyard/guestmem'
import type { MappedGpadl } from '@guestyard/vmbus/server'
import type { Frame, GuestCopies } from '../frame.ts'
import { NETWORK_MTU_MAX, NVSP_RECEIVE_RESERVE_BYTES } from '../protocol.ts'
import { RndisPacket } from '../rndis.ts'
import { RECEIVE_INFO_BYTES_MAX } from './frame-head.ts'
import type { FrameHead } from './frame-head.ts'

/** Ethernet header and tag. */
const LINK_BYTES = 18
/** What Windows' host gives, and Linux expects at least as much as a frame. */
const SUB_ALLOCATION_BYTES_MIN = 1728
/** Sub-allocations that are used at most; what a buffer has beyond stays untouched. */
const SUB_ALLOCATIONS_MAX = 16_384
const NONE = -1
/** The largest control message. */
export const CONTROL_BYTES_MAX = 1024

/** Bytes of a sub-allocation for frames with this much payload. */
export function subAllocationBytes(mtuBytes: number): number {
  const frame = RndisPacket.size + RECEIVE_INFO_BYTES_MAX + LINK_BYTES + mtuBytes
  const bytes = (frame + NVSP_RECEIVE_RESERVE_BYTES + 7) & -8
  return bytes < SUB_ALLOCATION_BYTES_MIN ? SUB_ALLOCATION_BYTES_MIN : bytes
}

export class ReceiveBuffer {
  readonly subAllocationBytes: number
  readonly count: number
  /** Completions that no packet waited for. */
  strayCompletions = 0
  readonly #gpadl: MappedGpadl
  readonly #free: Int32Array<ArrayBuffer>
  #freeCount: number
  /** Which use of a sub-allocation the guest has, 0: it is free. */
  readonly #uses: Int32Array<ArrayBuffer>
  /** The next sub-allocation of the same packet, or NONE. */
  readonly #joined: Int32Array<ArrayBuffer>
  #use = 0

  /** The buffer must hold one sub-allocation, in one range. */
  constructor(gpadl: MappedGpadl, mtuBytes: number) {
    const size = subAllocationBytes(Math.min(mtuBytes, NETWORK_MTU_MAX))
    this.#gpadl = gpadl
    this.subAllocationBytes = size
    this.count = Math.min(Math.floor(gpadl.ranges[0]!.lengthBytes / size), SUB_ALLOCATIONS_MAX)
    const { count } = this
    this.#free = Int32Array.from({ length: count }, (_, index) => count - 1 - index)
    this.#freeCount = count
    this.#uses = new Int32Array(count)
    this.#joined = new Int32Array(count).fill(NONE)
  }

  get freeCount(): number {
    return this.#freeCount
  }

  /** Number of a free sub-allocation, or -1. It is free still, until `give`. */
  peek(): number {
    return this.#freeCount === 0 ? -1 : this.#free[this.#freeCount - 1]!
  }

  /** The sub-allocation that `peek` told is the guest's from here on. Which use it is: the upper half of its transaction id. */
  give(index: number): number {
    this.#freeCount -= 1
    this.#use = (this.#use + 1) & 0x7fff_ffff
    if (this.#use === 0) this.#use = 1
    this.#uses[index] = this.#use
    return this.#use
  }

  /**
   * The sub-allocation that `peek` told goes to the guest in one packet with `last`, which was given or joined before: both are free
   * again with that packet's completion.
   */
  join(last: number, index: number): void {
    this.#freeCount -= 1
    this.#joined[last] = index
  }

  /** The guest has done with a packet, known by its first sub-allocation. False when it did not have it. */
  complete(index: number, use: number): boolean {
    const isTheirs = index >= 0 && index < this.count && use !== 0 && this.#uses[index] === use
    if (!isTheirs) {
      this.strayCompletions += 1
      return false
    }
    this.#uses[index] = 0
    for (let next = index; next !== NONE;) {
      const after = this.#joined[next]!
      this.#joined[next] = NONE
      this.#free[this.#freeCount] = next
      this.#freeCount += 1
      next = after
    }
    return true
  }

  /** Writes private bytes at the start of a sub-allocation. False, and a fault, when its page is not the guest's any more. */
  write(index: number, bytes: Uint8Array, lengthBytes: number, memory: GuestMemory): boolean {
    const range = this.#gpadl.ranges[0]!
    let offset = range.offsetBytes + index * this.subAllocationBytes
    const { u8 } = memory
    for (let done = 0; done < lengthBytes;) {
      const address = range.pages.addressOf(offset, SlatRight.WRITE)
      if (address < 0) return false
      const inPage = PAGE_SIZE - (address % PAGE_SIZE)
      const taken = inPage < lengthBytes - done ? inPage : lengthBytes - done
      for (let at = 0; at < taken; at += 1) u8[address + at] = bytes[done + at]!
      done += taken
      offset += taken
    }
    return true
  }

  /** Writes a frame behind its head, of `headBytes`. As `write`. */
  writeFrame(
    index: number,
    head: FrameHead,
    headBytes: number,
    frame: Frame,
    memory: GuestMemory,
    copies: GuestCopies,
  ): boolean {
    const range = this.#gpadl.ranges[0]!
    let offset = range.offsetBytes + index * this.subAllocationBytes
    let address = range.pages.addressOf(offset, SlatRight.WRITE)
    if (address < 0) return false
    let inPage = PAGE_SIZE - (address % PAGE_SIZE) - headBytes
    if (inPage >= 0 && (address & 3) === 0) {
      const { i32 } = memory
      const { words } = head
      const count = headBytes >> 2
      for (let word = 0; word < count; word += 1) i32[(address >>> 2) + word] = words[word]!
    } else {
      if (!this.write(index, head.bytes, headBytes, memory)) return false
      inPage = 0
    }
    address += headBytes
    offset += headBytes
    let left = frame.lengthBytes
    frame.rewind()
    for (;;) {
      const taken = inPage < left ? inPage : left
      if (taken > 0) frame.copyNext(memory, copies, address, taken)
      left -= taken
      offset += taken
      if (left === 0) return true
      address = range.pages.addressOf(offset, SlatRight.WRITE)
      if (address < 0) return false
      inPage = PAGE_SIZE - (address % PAGE_SIZE)
    }
  }

  release(): void {
    this.#gpadl.release()
  }
}
