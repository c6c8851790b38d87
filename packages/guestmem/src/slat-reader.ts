// HOT
// The SLAT as a VP's thread sees it: lookups in the buffer that the root publishes, and the VP's own
// announcements of overlay pages.

import { assert } from '@guestyard/hvdef'

import {
  KIND_LEAF,
  SLAT_CHUNKS,
  SLAT_CHUNK_PAGES,
  SLAT_CHUNK_SHIFT,
  SLAT_DIRECTORY,
  SLAT_GENERATION,
  SLAT_IDENTITY_FIRST,
  SLAT_IDENTITY_PAGES,
  SLAT_OVERLAY_GENERATION,
  SLAT_RIGHTS_ALL,
  SlatKind,
  slatAllows,
  slatEntry,
  slatKind,
  slatLeafAt,
  slatNumber,
  slatOverlayWord,
} from './slat-layout.ts'

/** Lookups for one thread. Any thread that was handed `Slat.buffer`; each makes its own. */
export class SlatReader {
  /** A view of a stated length: one that follows the buffer is several times slower. */
  readonly #words: Int32Array
  readonly #chunks: number
  #generation = -1
  #identityFirst = 0
  #identityPages = 0

  constructor(buffer: SharedArrayBuffer) {
    this.#words = new Int32Array(buffer, 0, buffer.byteLength >> 2)
    this.#chunks = Atomics.load(this.#words, SLAT_CHUNKS)
  }

  /** Changes when anything that a lookup answers may have changed: the key of cached copies. */
  get generation(): number {
    return Atomics.load(this.#words, SLAT_GENERATION)
  }

  /** The entry at a GPA page: see `slatKind`, `slatRights`, `slatNumber`. Any number may be asked. */
  lookUp(gpaPage: number): number {
    const words = this.#words
    const generation = Atomics.load(words, SLAT_GENERATION)
    if (generation !== this.#generation) this.#refresh(generation)
    const inRun = gpaPage - this.#identityFirst
    if (inRun >= 0 && inRun < this.#identityPages) {
      return slatEntry(SlatKind.RAM, SLAT_RIGHTS_ALL, gpaPage)
    }
    return this.#walk(gpaPage)
  }

  /** Page of RAM at a GPA page that may be reached with all of `rights`, or -1. */
  ramPage(gpaPage: number, rights: number): number {
    const entry = this.lookUp(gpaPage)
    return slatAllows(entry, rights) ? slatNumber(entry) : -1
  }

  /**
   * Announces an overlay of this VP (`index` 0 to 3), or of the partition (`vp` -1, `index` 0 or 1),
   * at a GPA page; -1 takes it away. While it is there no device reaches the page.
   */
  setOverlay(vp: number, index: number, gpaPage: number): void {
    assert(gpaPage >= -1, 'An overlay is at a page, or nowhere.')
    Atomics.store(this.#words, slatOverlayWord(vp, index), gpaPage + 1)
    // ORDER: after the change: who sees the new generation reads the word again.
    Atomics.add(this.#words, SLAT_OVERLAY_GENERATION, 1)
  }

  // ORDER: a leaf is filled before the directory word that leads to it is stored, and belongs to
  // its chunk for good. So whichever directory word is found, the entry is one that was true during
  // this call.
  #walk(gpaPage: number): number {
    const chunk = Math.floor(gpaPage / SLAT_CHUNK_PAGES)
    if (!(chunk >= 0 && chunk < this.#chunks)) return 0
    const word = Atomics.load(this.#words, SLAT_DIRECTORY + chunk)
    const kind = slatKind(word)
    if (kind === SlatKind.RAM) return word + (gpaPage - (chunk << SLAT_CHUNK_SHIFT))
    if (kind !== KIND_LEAF) return word
    const at = slatLeafAt(this.#chunks, slatNumber(word)) + gpaPage - (chunk << SLAT_CHUNK_SHIFT)
    return at < this.#words.length ? Atomics.load(this.#words, at) : 0
  }

  // ORDER: two words that belong together are good when the generation is even (no change is under
  // way) and the same before them and after them. Otherwise this lookup walks, and the next one
  // comes here again, since the generation has moved.
  #refresh(generation: number): void {
    const first = Atomics.load(this.#words, SLAT_IDENTITY_FIRST)
    const pages = Atomics.load(this.#words, SLAT_IDENTITY_PAGES)
    const settled =
      (generation & 1) === 0 && Atomics.load(this.#words, SLAT_GENERATION) === generation
    this.#generation = generation
    this.#identityFirst = first
    this.#identityPages = settled ? pages : 0
  }
}
