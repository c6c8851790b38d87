// Which pages of a partition's RAM have an overlay: a bit for each, set by the VP that puts one there. Two overlays at one
// page are allowed (TLFS, "GPA Overlay Pages", leaves open which of them is seen): here the first is, and the other
// waits beneath, invisible, until the page is given back.

import { CLAIMED_PAGES, CLAIM_WORDS, OVERLAY_GENERATION } from '../partition-page.ts'

/** The claims as one VP's thread makes them. */
export class OverlayClaims {
  readonly #page: Int32Array

  constructor(page: Int32Array) {
    this.#page = page
  }

  /** Takes a page. False when it has an overlay already. */
  claim(ramPage: number): boolean {
    const word = ramPage >>> 5
    if (word >= CLAIM_WORDS) return false
    const bit = 1 << (ramPage & 31)
    return (Atomics.or(this.#page, CLAIMED_PAGES + word, bit) & bit) === 0
  }

  /** Gives a page back that this overlay had claimed. */
  release(ramPage: number): void {
    // ORDER: what was beneath is in place again before the bit is cleared, and whoever waits looks after the generation.
    Atomics.and(this.#page, CLAIMED_PAGES + (ramPage >>> 5), ~(1 << (ramPage & 31)))
    Atomics.add(this.#page, OVERLAY_GENERATION, 1)
  }

  /** Changes when an overlay that waits may have become visible. */
  get generation(): number {
    return Atomics.load(this.#page, OVERLAY_GENERATION)
  }
}
