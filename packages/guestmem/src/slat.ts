// The second level of address translation of one partition: what is at each page of its GPA space. The root changes
// it, by HvCallMapGpaPages and HvCallUnmapGpaPages; devices are checked against it; the threads of the VPs read what it
// publishes (slat-reader.ts).
//
// A 2 MiB chunk that is one thing throughout takes one word; any other has a leaf of 512 words. The longest stretch of
// pages that are RAM at their own number with every right is kept beside the table: one compare answers for it.

import { HvStatus, assert } from '@guestyard/hvdef'

import {
  KIND_LEAF,
  SLAT_CHUNKS,
  SLAT_CHUNK_PAGES,
  SLAT_CHUNK_SHIFT,
  SLAT_DIRECTORY,
  SLAT_GENERATION,
  SLAT_IDENTITY_FIRST,
  SLAT_IDENTITY_PAGES,
  SLAT_NUMBER_MAX,
  SLAT_RIGHTS_ALL,
  SlatKind,
  slatAllows,
  slatEntry,
  slatKind,
  slatLeafAt,
  slatNumber,
} from './slat-layout.ts'
import { SlatOverlays } from './slat-overlays.ts'
import { PlainRun } from './slat-run.ts'

/** GPA pages of a SLAT that names no number: 4 GiB. */
const GPA_PAGES_DEFAULT = 1 << 20
/** GPA pages of any SLAT: 64 GiB. */
export const SLAT_GPA_PAGES_MAX: number = 1 << 24
/** Leaves beyond one for each chunk of RAM. */
const SPARE_LEAVES = 64

export interface SlatOptions {
  /** Pages of RAM that the partition has been given. */
  readonly ramPages: number
  /** Pages it may come to have: `grow`. `ramPages` when left out. */
  readonly ramPagesMax?: number
  /** Pages of GPA space, a multiple of 512, at most 16,777,216; 4 GiB when left out. */
  readonly gpaPages?: number
}

/** Told that pages may not be what they were: unmapped, mapped to something else, or their rights changed. */
export interface SlatWatcher {
  pagesChanged(firstPage: number, pageCount: number): void
}

/** Root's thread only. Numbers that come from hypercalls are checked here; a refused change changes nothing. */
export class Slat {
  /** For the threads of the partition's VPs: `new SlatReader(buffer)`. */
  readonly buffer: SharedArrayBuffer
  readonly gpaPages: number
  readonly ramPagesMax: number
  /** Pages that no device reaches, since an overlay of a VP or of the partition is there. */
  readonly overlays: SlatOverlays
  readonly #words: Int32Array
  readonly #directory: Int32Array
  /** Leaf number plus one by chunk, 0 for a chunk that never had one. */
  readonly #leafOf: Int32Array
  readonly #leaves: Int32Array[] = []
  readonly #leavesMax: number
  readonly #watchers: Set<SlatWatcher> = new Set()
  #ramPages: number
  readonly #run: PlainRun = new PlainRun()
  #changes = 0

  constructor(options: SlatOptions) {
    this.#ramPages = options.ramPages
    this.ramPagesMax = options.ramPagesMax ?? options.ramPages
    this.gpaPages = options.gpaPages ?? GPA_PAGES_DEFAULT
    assert(this.gpaPages > 0 && this.gpaPages <= SLAT_GPA_PAGES_MAX, 'GPA space is 64 GiB at most.')
    assert(this.gpaPages % SLAT_CHUNK_PAGES === 0, 'GPA space is whole chunks of 2 MiB.')
    assert(this.#ramPages <= this.ramPagesMax, 'RAM is not larger than its largest size.')
    assert(this.ramPagesMax <= SLAT_NUMBER_MAX + 1, 'RAM is 4 GiB at most.')
    const chunks = this.gpaPages / SLAT_CHUNK_PAGES
    this.#directory = new Int32Array(chunks)
    this.#leafOf = new Int32Array(chunks)
    this.#leavesMax = Math.min(
      chunks,
      Math.ceil(this.ramPagesMax / SLAT_CHUNK_PAGES) + SPARE_LEAVES,
    )
    const bytes = slatLeafAt(chunks, this.#leavesMax) * 4
    // With room for every leaf from the start, since the guest holds it, too, and could grow it. Growable all the same, to no
    // more than it is: such a buffer takes memory only for what of it was touched.
    this.buffer = new SharedArrayBuffer(bytes, { maxByteLength: bytes })
    this.#words = new Int32Array(this.buffer, 0, bytes >> 2)
    this.overlays = new SlatOverlays(this.#words, this.gpaPages)
    Atomics.store(this.#words, SLAT_CHUNKS, chunks)
  }

  /** The SLAT of a partition that finds all its RAM at its own place, with every right. */
  static identity(ramPages: number, ramPagesMax: number = ramPages): Slat {
    const slat = new Slat({ ramPages, ramPagesMax })
    slat.mapRam(0, 0, ramPages, SLAT_RIGHTS_ALL)
    return slat
  }

  /** Pages of RAM that may be mapped: what the partition has been given. */
  get ramPages(): number {
    return this.#ramPages
  }

  /** First page and length of the stretch of RAM at its own number with every right, or length 0. */
  get identityFirst(): number {
    return this.#run.first
  }

  get identityPages(): number {
    return this.#run.pages
  }

  /** Changes whenever an entry does. */
  get changes(): number {
    return this.#changes
  }

  /** More RAM has been given: pages up to `ramPages` may be mapped. They are mapped by `mapRam`, as any. */
  grow(ramPages: number): void {
    assert(ramPages >= this.#ramPages && ramPages <= this.ramPagesMax, 'RAM grows to its maximum.')
    this.#ramPages = ramPages
  }

  /** Undoes a `grow`: RAM from page `ramPages` on is given no more. It was mapped at its own place, a chunk whole or not at all. */
  takeBack(ramPages: number): void {
    assert(ramPages >= 0 && ramPages <= this.#ramPages, 'What is taken back was given.')
    for (let page = ramPages; page < this.#ramPages; page = nextChunk(page, this.#ramPages)) {
      const entry = this.#walk(page)
      const isTaken = slatKind(entry) === SlatKind.RAM && slatNumber(entry) === page
      if (isTaken) this.unmap(page, nextChunk(page, this.#ramPages) - page)
    }
    this.#ramPages = ramPages
  }

  /**
   * Maps `count` GPA pages from `gpaPage` on to RAM pages from `ramPage` on, with `rights` (SlatRight, 0 to 15; 0: every
   * access is an intercept). What was there goes. INVALID_PARAMETER outside GPA space or the RAM that was given;
   * INSUFFICIENT_MEMORY when the table has no leaf left.
   */
  mapRam(gpaPage: number, ramPage: number, count: number, rights: number): HvStatus {
    if (!isRange(ramPage, count, this.#ramPages) || !isRights(rights)) {
      return HvStatus.INVALID_PARAMETER
    }
    return this.#change(gpaPage, count, slatEntry(SlatKind.RAM, rights, ramPage), 1)
  }

  /** Makes `count` GPA pages device registers of region `region` (0 to 1,048,575). Statuses as `mapRam`. */
  mapMmio(gpaPage: number, count: number, region: number): HvStatus {
    if (!(region >= 0 && region <= SLAT_NUMBER_MAX)) return HvStatus.INVALID_PARAMETER
    return this.#change(gpaPage, count, slatEntry(SlatKind.MMIO, 0, region), 0)
  }

  /** Nothing is at these pages any more. Pages with nothing may be named. Statuses as `mapRam`. */
  unmap(gpaPage: number, count: number): HvStatus {
    return this.#change(gpaPage, count, 0, 0)
  }

  /** Other rights for pages that are RAM, every one of them: else INVALID_PARAMETER. Further statuses as `mapRam`. */
  protect(gpaPage: number, count: number, rights: number): HvStatus {
    if (!isRights(rights) || !isRange(gpaPage, count, this.gpaPages)) {
      return HvStatus.INVALID_PARAMETER
    }
    if (!this.#isRam(gpaPage, gpaPage + count)) return HvStatus.INVALID_PARAMETER
    return this.#reprotect(gpaPage, count, rights)
  }

  /** The entry at a GPA page: see `slatKind`, `slatRights`, `slatNumber`. Any number may be asked. HOT. */
  lookUp(gpaPage: number): number {
    const inRun = gpaPage - this.#run.first
    if (inRun >= 0 && inRun < this.#run.pages) {
      return slatEntry(SlatKind.RAM, SLAT_RIGHTS_ALL, gpaPage)
    }
    return this.#walk(gpaPage)
  }

  /** Page of RAM at a GPA page that may be reached with all of `rights`, or -1. */
  ramPage(gpaPage: number, rights: number): number {
    const entry = this.lookUp(gpaPage)
    return slatAllows(entry, rights) ? slatNumber(entry) : -1
  }

  watch(watcher: SlatWatcher): void {
    this.#watchers.add(watcher)
  }

  unwatch(watcher: SlatWatcher): void {
    this.#watchers.delete(watcher)
  }

  /** Plain data about this table. */
  inspect(): SlatInspection {
    let ram = 0
    let mmio = 0
    for (let chunk = 0; chunk < this.#directory.length; chunk++) {
      const word = this.#directory[chunk]!
      const kind = slatKind(word)
      if (kind === SlatKind.RAM) ram += SLAT_CHUNK_PAGES
      else if (kind === SlatKind.MMIO) mmio += SLAT_CHUNK_PAGES
      else if (kind === KIND_LEAF) {
        for (const entry of this.#leaves[slatNumber(word)]!) {
          if (slatKind(entry) === SlatKind.RAM) ram++
          else if (slatKind(entry) === SlatKind.MMIO) mmio++
        }
      }
    }
    return {
      ramPagesGiven: this.#ramPages,
      ramPagesMapped: ram,
      mmioPages: mmio,
      identityFirst: this.#run.first,
      identityPages: this.#run.pages,
      overlayPages: this.overlays.count,
      leaves: this.#leaves.length,
      tableBytes: slatLeafAt(this.#directory.length, this.#leaves.length) * 4,
    }
  }

  #walk(gpaPage: number): number {
    if (!(gpaPage >= 0 && gpaPage < this.gpaPages)) return 0
    const chunk = gpaPage >>> SLAT_CHUNK_SHIFT
    const word = this.#directory[chunk]!
    const kind = slatKind(word)
    if (kind === SlatKind.RAM) return word + (gpaPage - (chunk << SLAT_CHUNK_SHIFT))
    if (kind !== KIND_LEAF) return word
    return this.#leaves[slatNumber(word)]![gpaPage & (SLAT_CHUNK_PAGES - 1)]!
  }

  // `entry` for the first page; the entry of each further page is `step` more.
  #change(gpaPage: number, count: number, entry: number, step: 0 | 1): HvStatus {
    if (!isRange(gpaPage, count, this.gpaPages)) return HvStatus.INVALID_PARAMETER
    const end = gpaPage + count
    if (!this.#haveLeaves(gpaPage, end, entry, step)) return HvStatus.INSUFFICIENT_MEMORY
    this.#begin(gpaPage, end)
    for (let page = gpaPage; page < end; page = nextChunk(page, end)) {
      this.#fill(page, nextChunk(page, end), entry + (page - gpaPage) * step, step)
    }
    this.#end(gpaPage, end, step === 1 && slatNumber(entry) === gpaPage)
    return HvStatus.SUCCESS
  }

  #reprotect(gpaPage: number, count: number, rights: number): HvStatus {
    const end = gpaPage + count
    if (!this.#haveLeaves(gpaPage, end, slatEntry(SlatKind.RAM, rights, 0), 1)) {
      return HvStatus.INSUFFICIENT_MEMORY
    }
    this.#begin(gpaPage, end)
    for (let page = gpaPage; page < end; page = nextChunk(page, end)) {
      this.#rightsOf(page, nextChunk(page, end), rights)
    }
    this.#end(gpaPage, end, rights === SLAT_RIGHTS_ALL)
    return HvStatus.SUCCESS
  }

  /** True when as many leaves can be made as these pages need, at most. */
  #haveLeaves(from: number, end: number, entry: number, step: 0 | 1): boolean {
    if (this.#leavesMax === this.#directory.length) return true
    const left = this.#leavesMax - this.#leaves.length
    let needed = 0
    for (let page = from; page < end; page = nextChunk(page, end)) {
      const whole = isWhole(page, nextChunk(page, end), entry + (page - from) * step, step)
      if (!whole && this.#leafOf[page >>> SLAT_CHUNK_SHIFT] === 0) needed++
      if (needed > left) return false
    }
    return true
  }

  /** Pages `from` to `end` of one chunk. */
  #fill(from: number, end: number, entry: number, step: 0 | 1): void {
    const chunk = from >>> SLAT_CHUNK_SHIFT
    if (isWhole(from, end, entry, step)) {
      this.#store(chunk, entry)
      return
    }
    const leaf = this.#leafFor(chunk)
    const entries = this.#leaves[leaf]!
    const at = slatLeafAt(this.#directory.length, leaf)
    for (let page = from; page < end; page++) {
      const index = page & (SLAT_CHUNK_PAGES - 1)
      const value = entry + (page - from) * step
      entries[index] = value
      Atomics.store(this.#words, at + index, value)
    }
    this.#store(chunk, slatEntry(KIND_LEAF, 0, leaf))
    if (end % SLAT_CHUNK_PAGES === 0) this.#merge(chunk, entries)
  }

  /** Other rights for RAM pages of one chunk. */
  #rightsOf(from: number, end: number, rights: number): void {
    const chunk = from >>> SLAT_CHUNK_SHIFT
    const word = this.#directory[chunk]!
    if (slatKind(word) === SlatKind.RAM && end - from === SLAT_CHUNK_PAGES) {
      this.#store(chunk, slatEntry(SlatKind.RAM, rights, slatNumber(word)))
      return
    }
    for (let page = from; page < end; page++) {
      const ramPage = slatNumber(this.#walk(page))
      this.#fill(page, page + 1, slatEntry(SlatKind.RAM, rights, ramPage), 1)
    }
  }

  /** A leaf for the chunk, holding what its directory word said. */
  #leafFor(chunk: number): number {
    const word = this.#directory[chunk]!
    if (slatKind(word) === KIND_LEAF) return slatNumber(word)
    let leaf = this.#leafOf[chunk]! - 1
    if (leaf < 0) {
      leaf = this.#leaves.length
      this.#leaves.push(new Int32Array(SLAT_CHUNK_PAGES))
      this.#leafOf[chunk] = leaf + 1
    }
    const entries = this.#leaves[leaf]!
    const at = slatLeafAt(this.#directory.length, leaf)
    const step = slatKind(word) === SlatKind.RAM ? 1 : 0
    for (let index = 0; index < SLAT_CHUNK_PAGES; index++) {
      entries[index] = word + index * step
      Atomics.store(this.#words, at + index, word + index * step)
    }
    return leaf
  }

  /** A leaf that has become one thing throughout takes one word again. */
  #merge(chunk: number, entries: Int32Array): void {
    const first = entries[0]!
    const step = slatKind(first) === SlatKind.RAM ? 1 : 0
    if (!isWhole(0, SLAT_CHUNK_PAGES, first, step)) return
    for (let index = 1; index < SLAT_CHUNK_PAGES; index++) {
      if (entries[index] !== first + index * step) return
    }
    this.#store(chunk, first)
  }

  #store(chunk: number, word: number): void {
    this.#directory[chunk] = word
    // ORDER: after the entries of a leaf that the word leads to. See SlatReader's walk.
    Atomics.store(this.#words, SLAT_DIRECTORY + chunk, word)
  }

  #isRam(from: number, end: number): boolean {
    for (let page = from; page < end; page++) {
      if (slatKind(this.#walk(page)) !== SlatKind.RAM) return false
    }
    return true
  }

  // ORDER: the generation is odd from before the first changed word until after the last one.
  #begin(from: number, end: number): void {
    this.#changes++
    Atomics.add(this.#words, SLAT_GENERATION, 1)
    this.#run.exclude(from, end)
  }

  #end(from: number, end: number, mayBePlain: boolean): void {
    if (mayBePlain) this.#includePlain(from, end)
    this.#widen()
    Atomics.store(this.#words, SLAT_IDENTITY_FIRST, this.#run.first)
    Atomics.store(this.#words, SLAT_IDENTITY_PAGES, this.#run.pages)
    Atomics.add(this.#words, SLAT_GENERATION, 1)
    for (const watcher of this.#watchers) watcher.pagesChanged(from, end - from)
  }

  #includePlain(from: number, end: number): void {
    for (let page = from; page < end; page++) {
      const first = page
      while (page < end && this.#isPlain(page)) page = Math.min(end, this.#plainUpTo(page))
      if (page > first) this.#run.include(first, page)
    }
  }

  /** Lets the run take in what lies beside it and is as plain. */
  #widen(): void {
    if (this.#run.pages === 0) return
    let last = this.#run.first + this.#run.pages
    while (last < this.gpaPages && this.#isPlain(last)) last = this.#plainUpTo(last)
    let first = this.#run.first
    while (first > 0 && this.#isPlain(first - 1)) first = this.#plainDownTo(first)
    this.#run.first = first
    this.#run.pages = last - first
  }

  #isPlain(page: number): boolean {
    return this.#walk(page) === slatEntry(SlatKind.RAM, SLAT_RIGHTS_ALL, page)
  }

  #plainUpTo(page: number): number {
    const large = slatKind(this.#directory[page >>> SLAT_CHUNK_SHIFT]!) === SlatKind.RAM
    return large ? nextChunk(page, this.gpaPages) : page + 1
  }

  #plainDownTo(page: number): number {
    const chunk = (page - 1) >>> SLAT_CHUNK_SHIFT
    const large = slatKind(this.#directory[chunk]!) === SlatKind.RAM
    return large ? chunk << SLAT_CHUNK_SHIFT : page - 1
  }
}

/** What `inspect` answers. Pages of 4 KiB. */
export interface SlatInspection {
  readonly ramPagesGiven: number
  readonly ramPagesMapped: number
  readonly mmioPages: number
  readonly identityFirst: number
  readonly identityPages: number
  readonly overlayPages: number
  readonly leaves: number
  readonly tableBytes: number
}

/** True for whole, non-empty ranges below `limit`. */
function isRange(first: number, count: number, limit: number): boolean {
  return (
    Number.isInteger(first) &&
    Number.isInteger(count) &&
    first >= 0 &&
    count > 0 &&
    first < limit &&
    count <= limit - first
  )
}

function isRights(rights: number): boolean {
  return rights >= 0 && rights <= SLAT_RIGHTS_ALL
}

/** True when the pages are a chunk that one word can stand for. */
function isWhole(from: number, end: number, entry: number, step: 0 | 1): boolean {
  return end - from === SLAT_CHUNK_PAGES && (step === 0 || entry % SLAT_CHUNK_PAGES === 0)
}

/** First page of the chunk after `page`'s, or `end` if that comes first. */
function nextChunk(page: number, end: number): number {
  const next = ((page >>> SLAT_CHUNK_SHIFT) + 1) << SLAT_CHUNK_SHIFT
  return next < end ? next : end
}
