// An overlay page of one VP: its SIM, SIEF or assist page (TLFS, "GPA Overlay Pages"). The page belongs to the hypervisor: its
// content lives through being disabled and moved, and the RAM that it covers comes back. RAM here is memory that every
// thread of the partition sees, so the contents are exchanged: what an overlay covers lies aside while it is visible, and
// its own content lies aside while it is not.

import type { GuestMemory, SlatReader } from '@guestyard/guestmem'
import { PAGE_SIZE } from '@guestyard/hvdef'

import { PAGE_WORDS } from '../partition-page.ts'
import type { OverlayClaims } from './claims.ts'

/** A page that is not anywhere. */
export const NOWHERE = -1

/** What overlays of a VP share. */
export interface OverlayPlace {
  readonly memory: GuestMemory
  readonly claims: OverlayClaims
  /** Tells the root's devices which pages are not RAM now. */
  readonly slat: SlatReader
  /** The VP, and which of its four overlays this is. */
  readonly vp: number
  readonly index: number
}

/** VP's thread only. */
export class OverlayPage {
  /** Where the content is: words of RAM, or of a private page while nothing shows it. */
  words: Int32Array
  /** First word of the content in `words`. */
  at = 0
  readonly #place: OverlayPlace
  readonly #aside: Int32Array<ArrayBuffer> = new Int32Array(PAGE_WORDS)
  #page = NOWHERE
  #visible = false

  constructor(place: OverlayPlace) {
    this.#place = place
    this.words = this.#aside
  }

  /** Page number of its place, or NOWHERE. */
  get page(): number {
    return this.#page
  }

  /** False while it has a place at which another overlay is seen. */
  get isSettled(): boolean {
    return this.#visible || this.#page === NOWHERE
  }

  /** Moves it to a page of RAM, or NOWHERE. The content goes with it. */
  moveTo(page: number): void {
    if (page === this.#page) return
    this.#hide()
    this.#page = page
    this.#place.slat.setOverlay(this.#place.vp, this.#place.index, page)
    this.settle()
  }

  /** Shows it at its place, if the place is free now. */
  settle(): void {
    if (this.isSettled || !this.#place.claims.claim(this.#page)) return
    const { memory } = this.#place
    this.#visible = true
    swapPage(memory.i32, this.#page, this.#aside, 0)
    this.words = memory.i32
    this.at = this.#page * PAGE_WORDS
  }

  /** What it covers: 1024 words, copied; null while it is seen nowhere. */
  get covered(): Int32Array<ArrayBuffer> | null {
    return this.#visible ? this.#aside.slice() : null
  }

  /** What RAM had at its place is its content after all, and this is what it covers. False when it is seen nowhere. */
  adopt(covered: Int32Array): boolean {
    if (!this.#visible || covered.length !== PAGE_WORDS) return false
    swapPage(this.#place.memory.i32, this.#page, this.#aside, 0)
    this.#aside.set(covered)
    return true
  }

  #hide(): void {
    if (!this.#visible) return
    swapPage(this.#place.memory.i32, this.#page, this.#aside, 0)
    this.#visible = false
    this.words = this.#aside
    this.at = 0
    this.#place.claims.release(this.#page)
  }
}

/**
 * Exchanges a page of RAM with the 1024 words at `at` of `other`, the first word last: a reference TSC page is not valid before
 * all of it is there.
 */
export function swapPage(ram: Int32Array, page: number, other: Int32Array, at: number): void {
  const from = page * PAGE_WORDS
  for (let word = PAGE_WORDS - 1; word >= 0; word--) {
    // A guest may change its page under us: each word is exchanged whole.
    const was = Atomics.exchange(ram, from + word, other[at + word]!)
    other[at + word] = was
  }
}

/** True when a page that an MSR names is RAM that an overlay may cover. */
export function isOverlayPlace(memory: GuestMemory, page: number): boolean {
  return memory.contains(page * PAGE_SIZE, PAGE_SIZE)
}
