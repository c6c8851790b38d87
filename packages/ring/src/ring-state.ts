// What both ends share: their block of private state, the page table, and the walk over a packet's
// bytes in place.

import { PAGE_SHIFT, PAGE_SIZE, assert } from '@guestyard/hvdef'
import type { KernelCalls } from './kernel-calls.ts'
import { DEAD_END, type RingKernel } from './ring-kernel.ts'
import { RingFault } from './ring-fault.ts'
import type { RingPages } from './ring-pages.ts'
import * as layout from './state-layout.ts'

const U32 = 0x1_0000_0000

/** Private bytes of the state and page table of one end. */
export function stateBytes(ring: RingPages): number {
  return layout.STATE_BYTES + ring.dataAt.length * layout.PAGE_ENTRY_BYTES
}

/** Fills in what every end has, and returns the private address after state and page table. */
export function initializeState(kernel: RingKernel, s: number, ring: RingPages): number {
  const { i32 } = kernel
  const pages = ring.dataAt.length
  const pagesAt = s + layout.STATE_BYTES
  i32[(s + layout.CONTROL) >> 2] = ring.controlAt
  i32[(s + layout.SIZE) >> 2] = pages * PAGE_SIZE
  i32[(s + layout.PAGES_AT) >> 2] = pagesAt
  let runEnd = 0
  for (let page = pages - 1; page >= 0; page -= 1) {
    const next = page + 1
    const here = ring.dataAt[page]!
    const follows = next < pages && here + PAGE_SIZE === ring.dataAt[next]
    if (!follows) runEnd = next * PAGE_SIZE
    i32[(pagesAt >> 2) + page * 2] = here - page * PAGE_SIZE
    i32[(pagesAt >> 2) + page * 2 + 1] = runEnd
  }
  return pagesAt + pages * layout.PAGE_ENTRY_BYTES
}

/**
 * One end of a ring, as far as both ends are alike. One thread uses an end; the other end is
 * usually another thread's.
 */
export abstract class RingEnd {
  /** Address in shared memory and length of the piece that `nextSpan` found. */
  spanAt = 0
  spanLength = 0
  protected readonly kernel: RingKernel
  protected readonly calls: KernelCalls
  /** Private words, and the private address of this end's state in them. */
  protected readonly i32: Int32Array
  protected s: number
  /** Where the next span begins, and bytes left after it. */
  protected spanOffset = 0
  protected spanLeft = 0

  constructor(kernel: RingKernel, s: number) {
    this.kernel = kernel
    this.calls = kernel.calls
    this.i32 = kernel.i32
    this.s = s
  }

  /** Why this end is dead, or `RingFault.NONE`. A dead end touches the shared pages no more. */
  get fault(): RingFault {
    return this.word(layout.FAULT) as RingFault
  }

  /** True when the other end lives in the same private memory: both are of one pair. */
  sharesKernelWith(other: RingEnd): boolean {
    return this.kernel === other.kernel
  }

  /** Bytes of the data area. */
  get sizeBytes(): number {
    return this.word(layout.SIZE)
  }

  /**
   * Packets that went through this end, bytes of ring they took, times it published its index, and
   * signals it asked for.
   */
  get packets(): number {
    return this.counter(layout.PACKETS)
  }

  get bytes(): number {
    return this.counter(layout.BYTES)
  }

  get publishes(): number {
    return this.counter(layout.PUBLISHES)
  }

  get signals(): number {
    return this.counter(layout.SIGNALS)
  }

  /** Ends all access to the shared pages. Every later call finds a dead end; counters read zero. */
  close(): void {
    this.s = DEAD_END
  }

  /**
   * Finds the next piece of a packet's bytes in place: after `reserve` of an outgoing end, the
   * bytes to fill in; after `peek` of an incoming end, the payload, which a hostile peer may still
   * change. False when there is no more.
   */
  nextSpan(): boolean {
    if (this.spanLeft === 0) return false
    const size = this.word(layout.SIZE)
    let offset = this.spanOffset
    if (offset >= size) offset -= size
    const entry = (this.word(layout.PAGES_AT) >> 2) + (offset >>> PAGE_SHIFT) * 2
    const inRun = this.i32[entry + 1]! - offset
    const length = inRun < this.spanLeft ? inRun : this.spanLeft
    this.spanAt = (offset + this.i32[entry]!) >>> 0
    this.spanLength = length
    this.spanOffset = offset + length
    this.spanLeft -= length
    return true
  }

  protected word(offset: number): number {
    return this.i32[(this.s + offset) >> 2]!
  }

  protected setWord(offset: number, value: number): void {
    this.i32[(this.s + offset) >> 2] = value
  }

  protected counter(offset: number): number {
    const at = (this.s + offset) >> 2
    return (this.i32[at]! >>> 0) + (this.i32[at + 1]! >>> 0) * U32
  }

  /**
   * Takes this end's position from the control page, which the peer may have written: the end is
   * dead when it makes no sense.
   */
  protected adoptIndices(own: number, peer: number, badOwn: RingFault, badPeer: RingFault): void {
    const size = this.word(layout.SIZE)
    if (!isIndex(own, size)) this.setWord(layout.FAULT, badOwn)
    else if (!isIndex(peer, size)) this.setWord(layout.FAULT, badPeer)
    const dead = this.fault !== RingFault.NONE
    this.setWord(layout.NEXT, dead ? 0 : own)
    this.setWord(layout.PUBLISHED, dead ? 0 : own)
    this.setWord(layout.PEER, dead ? 0 : peer)
    const pagesAt = this.word(layout.PAGES_AT) >> 2
    const entry = pagesAt + (this.word(layout.NEXT) >>> PAGE_SHIFT) * 2
    this.setWord(layout.RUN_DELTA, this.i32[entry]!)
    this.setWord(layout.RUN_END, this.i32[entry + 1]!)
  }

  /** Index of a word of the control page in `kernel.sharedI32`. */
  protected controlWord(offset: number): number {
    return ((this.word(layout.CONTROL) >>> 0) + offset) / 4
  }
}

function isIndex(value: number, size: number): boolean {
  return value >= 0 && value < size && value % 8 === 0
}

/** Asserts that a ring is one this code can hold: sizes and addresses are ours. */
export function assertRingPages(ring: RingPages): void {
  assert(ring.dataAt.length > 0, 'A ring has at least one data page.')
  assert(ring.controlAt % PAGE_SIZE === 0, 'A control page is a whole page.')
  assert(ring.dataAt.length * PAGE_SIZE < 0x8000_0000, 'A ring is smaller than 2 GiB.')
}
