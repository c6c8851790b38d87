// The two overlay pages of a partition, hypercall page and reference TSC page. Every VP of it may write their registers, so what they
// cover lies in the partition page, and a VP that moves one holds a lock that nobody waits for: who finds it taken has stored
// the register already, and the holder looks at the register again after it has let go.
//
//   OVERLAY_PLACE   0 nowhere | page + 1 | bit 31: visible

import type { GuestMemory, SlatReader } from '@guestyard/guestmem'

import { OVERLAY_ASIDE, OVERLAY_MOVING, OVERLAY_PLACE, PAGE_WORDS } from '../partition-page.ts'
import type { OverlayClaims } from './claims.ts'
import { NOWHERE, isOverlayPlace, swapPage } from './overlay-page.ts'

/** The partition's overlays, in the order of their words. */
export const HYPERCALL_OVERLAY = 0
export const REFERENCE_TSC_OVERLAY = 1
export type PartitionOverlay = typeof HYPERCALL_OVERLAY | typeof REFERENCE_TSC_OVERLAY

const VISIBLE = 0x8000_0000 | 0
/** The partition, to `SlatReader.setOverlay`. */
const OF_PARTITION = -1
/** Times that a holder follows the register, before it leaves the rest to the next write. */
const MOVES_MAX = 64

/** As one VP's thread moves them. */
export class PartitionOverlays {
  readonly #page: Int32Array
  readonly #memory: GuestMemory
  readonly #claims: OverlayClaims
  readonly #slat: SlatReader

  constructor(page: Int32Array, memory: GuestMemory, claims: OverlayClaims, slat: SlatReader) {
    this.#page = page
    this.#memory = memory
    this.#claims = claims
    this.#slat = slat
  }

  /** True when it has a place at which another overlay is seen. */
  isWaiting(overlay: PartitionOverlay): boolean {
    const place = Atomics.load(this.#page, OVERLAY_PLACE + overlay)
    return place !== 0 && (place & VISIBLE) === 0
  }

  /**
   * Brings an overlay to where its register says (`wanted`: a page of RAM or NOWHERE), which was stored before this call. `fill`
   * writes the 1024 words of its content, whenever it comes to a new place.
   */
  follow(
    overlay: PartitionOverlay,
    wanted: () => number,
    fill: (words: Int32Array, at: number) => void,
  ): void {
    for (let move = 0; move < MOVES_MAX; move++) {
      // ORDER: the register, the lock. The holder lets go and then reads the register: of two VPs, one sees the other.
      if (Atomics.compareExchange(this.#page, OVERLAY_MOVING + overlay, 0, 1) !== 0) return
      const page = wanted()
      this.#moveTo(overlay, page, fill)
      Atomics.store(this.#page, OVERLAY_MOVING + overlay, 0)
      if (wanted() === page) return
    }
  }

  /** Writes the content anew where it is, in the order that `write` keeps. Nothing when the page is not seen anywhere. */
  rewrite(overlay: PartitionOverlay, write: (words: Int32Array, at: number) => void): void {
    if (Atomics.compareExchange(this.#page, OVERLAY_MOVING + overlay, 0, 1) !== 0) return
    const place = Atomics.load(this.#page, OVERLAY_PLACE + overlay)
    const page = (place & ~VISIBLE) - 1
    if ((place & VISIBLE) !== 0 && isOverlayPlace(this.#memory, page)) {
      write(this.#memory.i32, page * PAGE_WORDS)
    }
    Atomics.store(this.#page, OVERLAY_MOVING + overlay, 0)
  }

  /** What an overlay covers: 1024 words, copied; null while it is seen nowhere. */
  covered(overlay: PartitionOverlay): Int32Array<ArrayBuffer> | null {
    if (this.#visiblePage(overlay) < 0) return null
    const at = OVERLAY_ASIDE + overlay * PAGE_WORDS
    return Int32Array.from(this.#page.subarray(at, at + PAGE_WORDS))
  }

  /** What RAM had at its place is its content after all, and this is what it covers. False when it is seen nowhere. */
  adopt(overlay: PartitionOverlay, covered: Int32Array): boolean {
    const page = this.#visiblePage(overlay)
    if (page < 0 || covered.length !== PAGE_WORDS) return false
    const at = OVERLAY_ASIDE + overlay * PAGE_WORDS
    swapPage(this.#memory.i32, page, this.#page, at)
    this.#page.set(covered, at)
    return true
  }

  /** Where it is seen, or NOWHERE. */
  #visiblePage(overlay: PartitionOverlay): number {
    const place = Atomics.load(this.#page, OVERLAY_PLACE + overlay)
    const page = (place & ~VISIBLE) - 1
    return (place & VISIBLE) !== 0 && isOverlayPlace(this.#memory, page) ? page : NOWHERE
  }

  #moveTo(
    overlay: PartitionOverlay,
    page: number,
    fill: (words: Int32Array, at: number) => void,
  ): void {
    const place = Atomics.load(this.#page, OVERLAY_PLACE + overlay)
    const current = place === 0 ? NOWHERE : (place & ~VISIBLE) - 1
    const visible = (place & VISIBLE) !== 0
    if (page === current && (visible || page === NOWHERE)) return
    const at = OVERLAY_ASIDE + overlay * PAGE_WORDS
    if (page !== current) {
      // A place word that the guest scribbled on may name no page of its RAM.
      if (visible && isOverlayPlace(this.#memory, current)) {
        swapPage(this.#memory.i32, current, this.#page, at)
        this.#claims.release(current)
      }
      this.#slat.setOverlay(OF_PARTITION, overlay, page)
      if (page === NOWHERE) {
        Atomics.store(this.#page, OVERLAY_PLACE + overlay, 0)
        return
      }
    }
    const shown = this.#claims.claim(page)
    if (shown) {
      fill(this.#page, at)
      swapPage(this.#memory.i32, page, this.#page, at)
    }
    Atomics.store(this.#page, OVERLAY_PLACE + overlay, (page + 1) | (shown ? VISIBLE : 0))
  }
}
