// The memory of the machine: a finite number of 4 KiB pages, and whose each is. Nothing lies in them: a child's RAM is
// a WebAssembly memory of its own, and this says which of the machine's pages stand behind it, so that a partition
// that does not fit is refused as it would be on a real machine.
//
//            take                   deposit                    charge
//   free ───────────▶ the root's ─────────────▶ available ──────────────▶ in use by the hypervisor
//        ◀───────────            ◀─────────────           ◀──────────────
//    │       giveBack              withdraw                   refund
//    └── allocateRam ──▶ RAM of a child ── releaseRam ──▶ free
//
// Root's thread only.

import { HvStatus, assert } from '@guestyard/hvdef'

/** Pages of a machine whose options name no number: 16 GiB. */
export const HOST_PAGES_DEFAULT: number = 4 * 1024 * 1024

/** Machine pages that follow each other, and the page of RAM that the first of them is. */
export interface RamExtent {
  readonly hostPage: number
  readonly pageCount: number
  readonly ramPage: number
}

/** Pages of a large page. */
const LARGE_PAGES = 512

interface Extent {
  first: number
  count: number
}

/** What a partition has of the machine. */
interface Holding {
  readonly ram: RamExtent[]
  /** Pages deposited and not withdrawn; the last `inUse` of them in no particular order are the hypervisor's. */
  readonly deposited: number[]
  inUse: number
}

export interface MemoryBalance {
  /** Deposited pages that the hypervisor does not need now. */
  readonly available: number
  readonly inUse: number
}

export class HostMemoryPool {
  readonly pageCount: number
  /** Free pages, in order, neighbours joined. */
  readonly #free: Extent[]
  /** Single pages that the root has taken for deposits. */
  readonly #taken: Set<number> = new Set()
  readonly #holdings: Map<number, Holding> = new Map()
  #freePages: number
  /** Requests that the machine had no room for. */
  refusals = 0

  /** `pageCount` pages of 4 KiB, at least one. Page 0 is never given: a page number of zero is no page. */
  constructor(pageCount: number = HOST_PAGES_DEFAULT) {
    assert(Number.isInteger(pageCount) && pageCount > 0, 'A machine has whole pages.')
    this.pageCount = pageCount
    this.#free = [{ first: 1, count: pageCount }]
    this.#freePages = pageCount
  }

  get freePages(): number {
    return this.#freePages
  }

  /** `count` pages for the root, to deposit: they need not follow each other. Undefined when there are not as many. */
  take(count: number): number[] | undefined {
    if (count > this.#freePages) {
      this.refusals++
      return undefined
    }
    const pages: number[] = []
    while (pages.length < count) {
      const extent = this.#cut(count - pages.length)
      for (let page = extent.first; page < extent.first + extent.count; page++) pages.push(page)
    }
    for (const page of pages) this.#taken.add(page)
    return pages
  }

  /** The root needs a page no more. INVALID_PARAMETER when it is not one of its own. */
  giveBack(hostPage: number): HvStatus {
    if (!this.#taken.delete(hostPage)) return HvStatus.INVALID_PARAMETER
    this.#join(hostPage, 1)
    return HvStatus.SUCCESS
  }

  /** HvCallDepositMemory, one page: it leaves the root until it is withdrawn. INVALID_PARAMETER when it is not the root's. */
  deposit(partition: number, hostPage: number): HvStatus {
    if (!this.#taken.delete(hostPage)) return HvStatus.INVALID_PARAMETER
    this.#holdingOf(partition).deposited.push(hostPage)
    return HvStatus.SUCCESS
  }

  /** HvCallWithdrawMemory, one page, the root's again; -1 when none is available. */
  withdraw(partition: number): number {
    const holding = this.#holdings.get(partition)
    if (holding === undefined || holding.deposited.length <= holding.inUse) return -1
    const page = holding.deposited.pop()!
    this.#taken.add(page)
    return page
  }

  /** HvCallGetMemoryBalance. */
  balance(partition: number): MemoryBalance {
    const holding = this.#holdings.get(partition)
    if (holding === undefined) return { available: 0, inUse: 0 }
    return { available: holding.deposited.length - holding.inUse, inUse: holding.inUse }
  }

  /** The hypervisor needs `count` of the partition's pages. INSUFFICIENT_MEMORY: deposit more and try again. */
  charge(partition: number, count: number): HvStatus {
    const holding = this.#holdingOf(partition)
    if (count > holding.deposited.length - holding.inUse) return HvStatus.INSUFFICIENT_MEMORY
    holding.inUse += count
    return HvStatus.SUCCESS
  }

  /** The hypervisor has freed what it had charged. */
  refund(partition: number, count: number): void {
    const holding = this.#holdingOf(partition)
    assert(count <= holding.inUse, 'What is refunded was charged.')
    holding.inUse -= count
  }

  /**
   * Machine pages behind RAM pages `ramPage` to `ramPage + count` of a child; nothing of them may be behind another.
   * INSUFFICIENT_MEMORY, and nothing given, when the machine has not as many. RAM of 2 MiB and more begins at a large page
   * of the machine's where one stretch has room for all of it.
   */
  allocateRam(partition: number, ramPage: number, count: number): HvStatus {
    if (count > this.#freePages) {
      this.refusals++
      return HvStatus.INSUFFICIENT_MEMORY
    }
    const { ram } = this.#holdingOf(partition)
    let given = 0
    while (given < count) {
      const extent = this.#cutLarge(count - given) ?? this.#cut(count - given)
      ram.push({ hostPage: extent.first, pageCount: extent.count, ramPage: ramPage + given })
      given += extent.count
    }
    return HvStatus.SUCCESS
  }

  /** Machine pages behind RAM pages `from` to `end` of a child, in the order they were given; all when left out. */
  ramOf(partition: number, from: number = 0, end: number = Infinity): readonly RamExtent[] {
    const { ram } = this.#holdings.get(partition) ?? NO_RAM
    return ram.map((extent) => within(extent, from, end)).filter(({ pageCount }) => pageCount > 0)
  }

  /** The page of `partition`'s RAM that a machine page is, or -1. */
  ramPageOf(partition: number, hostPage: number): number {
    for (const extent of (this.#holdings.get(partition) ?? NO_RAM).ram) {
      const index = hostPage - extent.hostPage
      if (index >= 0 && index < extent.pageCount) return extent.ramPage + index
    }
    return -1
  }

  /** The partition's RAM is gone. What was deposited stays, for Withdraw. */
  releaseRam(partition: number): void {
    const holding = this.#holdings.get(partition)
    if (holding === undefined) return
    for (const extent of holding.ram.splice(0)) this.#join(extent.hostPage, extent.pageCount)
  }

  /** The partition is gone: RAM and deposits are free, whatever was charged. */
  release(partition: number): void {
    const holding = this.#holdings.get(partition)
    if (holding === undefined) return
    this.releaseRam(partition)
    for (const page of holding.deposited) this.#join(page, 1)
    this.#holdings.delete(partition)
  }

  /** Plain data about the machine's memory, in pages. */
  inspect(): HostMemoryInspection {
    const holdings = [...this.#holdings]
    return {
      pageCount: this.pageCount,
      freePages: this.#freePages,
      rootPages: this.#taken.size,
      refusals: this.refusals,
      partitions: holdings.map(([partition, holding]) => ({
        partition,
        ramPages: holding.ram.reduce((sum, extent) => sum + extent.pageCount, 0),
        deposited: holding.deposited.length,
        inUse: holding.inUse,
      })),
    }
  }

  #holdingOf(partition: number): Holding {
    let holding = this.#holdings.get(partition)
    if (holding === undefined) {
      holding = { ram: [], deposited: [], inUse: 0 }
      this.#holdings.set(partition, holding)
    }
    return holding
  }

  /** Free pages that follow each other, `count` of them or fewer: from the first stretch that has all, else from the first. */
  #cut(count: number): Extent {
    const fits = this.#free.findIndex((extent) => extent.count >= count)
    const index = fits < 0 ? 0 : fits
    const extent = this.#free[index]!
    const cut = { first: extent.first, count: Math.min(count, extent.count) }
    extent.first += cut.count
    extent.count -= cut.count
    if (extent.count === 0) this.#free.splice(index, 1)
    this.#freePages -= cut.count
    return cut
  }

  /** `count` pages that follow each other from a large page's first on, or undefined where there are none. */
  #cutLarge(count: number): Extent | undefined {
    if (count < LARGE_PAGES) return undefined
    for (let index = 0; index < this.#free.length; index++) {
      const extent = this.#free[index]!
      const first = Math.ceil(extent.first / LARGE_PAGES) * LARGE_PAGES
      const before = first - extent.first
      const after = extent.count - before - count
      if (after < 0) continue
      const rest = [
        { first: extent.first, count: before },
        { first: first + count, count: after },
      ]
      this.#free.splice(index, 1, ...rest.filter((each) => each.count > 0))
      this.#freePages -= count
      return { first, count }
    }
    return undefined
  }

  #join(first: number, count: number): void {
    this.#freePages += count
    let index = this.#free.findIndex((extent) => extent.first > first)
    if (index < 0) index = this.#free.length
    const before = this.#free[index - 1]
    const after = this.#free[index]
    const joinsBefore = before !== undefined && before.first + before.count === first
    const joinsAfter = after !== undefined && first + count === after.first
    if (joinsBefore && joinsAfter) {
      before.count += count + after.count
      this.#free.splice(index, 1)
    } else if (joinsBefore) {
      before.count += count
    } else if (joinsAfter) {
      after.first = first
      after.count += count
    } else {
      this.#free.splice(index, 0, { first, count })
    }
  }
}

const NO_RAM: { readonly ram: readonly RamExtent[] } = { ram: [] }

/** What of an extent is RAM pages `from` to `end`: no pages when nothing is. */
function within({ hostPage, pageCount, ramPage }: RamExtent, from: number, end: number): RamExtent {
  const skipped = Math.max(0, from - ramPage)
  const left = Math.min(pageCount, end - ramPage) - skipped
  return { hostPage: hostPage + skipped, pageCount: left, ramPage: ramPage + skipped }
}

/** What `inspect` answers. Pages of 4 KiB. */
export interface HostMemoryInspection {
  readonly pageCount: number
  readonly freePages: number
  /** Pages that the root has taken and not deposited. */
  readonly rootPages: number
  readonly refusals: number
  readonly partitions: readonly {
    readonly partition: number
    /** Behind its RAM, and kept for what that may grow to. */
    readonly ramPages: number
    readonly deposited: number
    readonly inUse: number
  }[]
}
