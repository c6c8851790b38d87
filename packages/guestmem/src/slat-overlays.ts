// HOT (isCovered)
// The overlay pages of a partition as the root knows them. Its VPs announce them in the SLAT buffer, from their own
// threads; a device that the guest points at one of them reaches nothing. A guest that announces wrongly exposes or loses
// pages of its own.

import { SLAT_OVERLAYS, SLAT_OVERLAYS_MAX, SLAT_OVERLAY_GENERATION } from './slat-layout.ts'

/** Root's thread only. */
export class SlatOverlays {
  readonly #words: Int32Array
  readonly #gpaPages: number
  #generation = 0
  #pages: ReadonlySet<number> = new Set()
  // Pages outside these bounds need no look into the set.
  #first = 0
  #end = 0

  constructor(words: Int32Array, gpaPages: number) {
    this.#words = words
    this.#gpaPages = gpaPages
  }

  /** Overlay pages, as of the latest `sample`. */
  get count(): number {
    return this.#pages.size
  }

  /** Takes in what the VPs have announced: before a walk, or once a request. One load when nothing is new. */
  sample(): void {
    // ORDER: the generation before the words. A word that changes while they are read adds to the generation
    // afterwards, so the next sample reads it.
    const generation = Atomics.load(this.#words, SLAT_OVERLAY_GENERATION)
    if (generation === this.#generation) return
    this.#generation = generation
    const pages = new Set<number>()
    let first = this.#gpaPages
    let end = 0
    for (let index = 0; index < SLAT_OVERLAYS_MAX; index++) {
      const page = Atomics.load(this.#words, SLAT_OVERLAYS + index) - 1
      if (page < 0 || page >= this.#gpaPages) continue
      pages.add(page)
      if (page < first) first = page
      if (page >= end) end = page + 1
    }
    this.#pages = pages
    this.#first = first
    this.#end = end
  }

  /** True when an overlay lies over this page, as of the latest `sample`. */
  isCovered(gpaPage: number): boolean {
    return gpaPage >= this.#first && gpaPage < this.#end && this.#pages.has(gpaPage)
  }
}
