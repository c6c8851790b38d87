// HOT (translate, mapRanges, unmapRanges)
// The memory that one device may reach: pages of its guest, mapped for as long as the protocol says and no longer. A GPADL
// is mapped from its acceptance until TORNDOWN (`map`), the ranges of a GPA-direct packet until their completion
// (`mapRanges`). Every touch asks for the page anew: what SLAT and domain do not both allow is a fault, and reaches nothing.
//
//   translate(page, access) = SLAT: RAM with these rights? ─▶ no overlay? ─▶ mapped in this domain for this access?

import { PAGE_SIZE, assert } from '@guestyard/hvdef'

import { type DmaGate, DmaPages } from './dma-pages.ts'
import type { DmaFaultLog, DmaFaultReason } from './dma-faults.ts'
import type { PageRangeTable } from './page-range-table.ts'
import type { GuestMemory } from './guest-memory.ts'
import { PageCounts } from './page-counts.ts'
import type { Slat } from './slat.ts'

/** Told, once, when the partition has lost pages of a mapping: nothing of it is reached any more. */
export type Revoked = () => void

/** Root's thread only. Made by `Iommu.domain`. */
export class DmaDomain implements DmaGate {
  /** Which device: class and instance. */
  readonly device: string
  readonly memory: GuestMemory
  readonly #slat: Slat
  readonly #log: DmaFaultLog
  readonly #counts: PageCounts = new PageCounts()
  readonly #mappings: Map<DmaPages, Revoked | null> = new Map()
  /** Pages of GPA-direct ranges that are mapped now. */
  rangePages = 0
  faults = 0
  /** Mappings that the partition's SLAT took away. */
  revocations = 0

  constructor(device: string, memory: GuestMemory, slat: Slat, log: DmaFaultLog) {
    this.device = device
    this.memory = memory
    this.#slat = slat
    this.#log = log
  }

  /** True while anything is mapped. */
  get inUse(): boolean {
    return this.#mappings.size > 0 || this.rangePages > 0
  }

  /**
   * Maps GPA pages, in this order, for `access`; pages may repeat. Undefined, a fault, and nothing mapped when one of them may
   * not be reached so. `revoked` is called within the change of the SLAT that takes one of them away.
   */
  map(
    gpaPages: ArrayLike<number>,
    access: number,
    revoked: Revoked | null = null,
  ): DmaPages | undefined {
    this.#slat.overlays.sample()
    const pages = new Uint32Array(gpaPages.length)
    for (let index = 0; index < pages.length; index++) pages[index] = gpaPages[index]!
    const ramPages = new Uint32Array(pages.length)
    if (!this.#add(pages, ramPages, pages.length, access)) return undefined
    const mapping = new DmaPages(this, pages, ramPages, access)
    this.#mappings.set(mapping, revoked)
    return mapping
  }

  /** Ends a mapping: from here on every touch of it is a fault. Nothing happens when it has ended. */
  unmap(mapping: DmaPages): void {
    if (!this.#mappings.delete(mapping)) return
    mapping.end()
    this.#counts.remove(mapping.gpaPages, mapping.pageCount, mapping.access)
  }

  /**
   * Maps all pages of parsed ranges until `unmapRanges`, and tells where in RAM they are (`table.ramPages`). False, a fault, and
   * nothing mapped as by `map`.
   */
  mapRanges(table: PageRangeTable, access: number): boolean {
    this.#slat.overlays.sample()
    if (!this.#add(table.pfns, table.ramPages, table.pageCount, access)) return false
    this.rangePages += table.pageCount
    return true
  }

  /** The request of these ranges is complete. The table is as it was when they were mapped. */
  unmapRanges(table: PageRangeTable, access: number): void {
    this.#counts.remove(table.pfns, table.pageCount, access)
    this.rangePages -= table.pageCount
  }

  /** Page of RAM for a touch of a GPA page, or -1: a fault. Any number may be asked. */
  translate(gpaPage: number, access: number): number {
    const ramPage = this.peek(gpaPage, access)
    if (ramPage < 0) this.#fault(gpaPage * PAGE_SIZE, access, this.#whyNot(gpaPage, access))
    return ramPage
  }

  /** As `translate`, and never a fault. */
  peek(gpaPage: number, access: number): number {
    const ramPage = this.#slat.ramPage(gpaPage, access)
    if (ramPage < 0 || this.#slat.overlays.isCovered(gpaPage)) return -1
    return this.#counts.allows(gpaPage, access) ? ramPage : -1
  }

  /** A touch that lies outside any mapping, or in one that has ended. */
  refuse(gpa: number, access: number): void {
    this.#fault(gpa, access, 'not-mapped')
  }

  /** Overlays that VPs have announced are known from here on: called once a request. */
  sampleOverlays(): void {
    this.#slat.overlays.sample()
  }

  /** The SLAT has changed these pages. Mappings that are no longer what was mapped end. */
  pagesChanged(firstPage: number, pageCount: number): void {
    if (this.#mappings.size === 0 || !this.#counts.touches(firstPage, pageCount)) return
    // Whoever is told may unmap others.
    for (const [mapping, revoked] of [...this.#mappings]) {
      if (!this.#mappings.has(mapping) || this.#holds(mapping, firstPage, pageCount)) continue
      this.unmap(mapping)
      this.revocations++
      revoked?.()
    }
  }

  inspect(): DmaDomainInspection {
    let mappedPages = this.rangePages
    for (const mapping of this.#mappings.keys()) mappedPages += mapping.pageCount
    return {
      device: this.device,
      mappings: this.#mappings.size,
      mappedPages,
      faults: this.faults,
      revocations: this.revocations,
    }
  }

  /** True when the pages of the mapping among these are where they were, and may be reached as before. */
  #holds(mapping: DmaPages, firstPage: number, pageCount: number): boolean {
    for (let index = 0; index < mapping.pageCount; index++) {
      const page = mapping.gpaPages[index]!
      if (page < firstPage || page >= firstPage + pageCount) continue
      if (this.#slat.ramPage(page, mapping.access) !== mapping.ramPages[index]) return false
    }
    return true
  }

  #add(pages: Uint32Array, ramPages: Uint32Array, count: number, access: number): boolean {
    const { overlays } = this.#slat
    for (let index = 0; index < count; index++) {
      const page = pages[index]!
      const ramPage = this.#slat.ramPage(page, access)
      if (ramPage < 0 || overlays.isCovered(page)) {
        this.#fault(page * PAGE_SIZE, access, this.#whyNot(page, access))
        return false
      }
      ramPages[index] = ramPage
    }
    const added = this.#counts.add(pages, count, access)
    if (added === count) return true
    this.#fault(pages[added]! * PAGE_SIZE, access, 'too-often')
    this.#counts.remove(pages, added, access)
    return false
  }

  #whyNot(page: number, access: number): DmaFaultReason {
    if (this.#slat.ramPage(page, access) < 0) return 'no-memory'
    return this.#slat.overlays.isCovered(page) ? 'overlay' : 'not-mapped'
  }

  #fault(gpa: number, access: number, reason: DmaFaultReason): void {
    assert(access > 0, 'A touch reads or writes.')
    this.faults++
    this.#log.add(this.device, gpa, access, reason)
  }
}

/** What `inspect` answers. */
export interface DmaDomainInspection {
  readonly device: string
  readonly mappings: number
  readonly mappedPages: number
  readonly faults: number
  readonly revocations: number
}
