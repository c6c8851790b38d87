// VID: partitions, their processors and their memory, for whoever owns a VM. It knows the order of the calls, gives the machine's
// pages away, and cleans up after a creation that went wrong half-way. Root thread only.
//
//   create ─ properties ─ initialise ─ RAM from the machine's pages ─ map ─ VPs ─▶ partition, suspended ─ start ─▶ runs
//   finalise ─ withdraw what was deposited ─ delete: RAM and pages are the machine's again

import { GuestMemory, SLAT_CHUNK_PAGES } from '@guestyard/guestmem'
import type { ProcessorRooms } from '@guestyard/guestmem'
import {
  HvMapFlags,
  HvPartitionProperty,
  HvStatus,
  PAGE_SIZE,
  hvStatusName,
} from '@guestyard/hvdef'
import type { Hypervisor, PartitionListener, RamExtent, VpDoorbell } from '@guestyard/hypervisor'

import { PAGE_LIST_MAX } from '../winhv/winhv.ts'
import type { WinHv } from '../winhv/index.ts'
import { VidPartition } from './vid-partition.ts'

/** What a partition is to be. */
export interface VidSpec {
  /** RAM in bytes; a positive multiple of 64 KiB. */
  readonly memoryBytes: number
  /** What RAM may grow to while the partition runs; `memoryBytes` when left out. */
  readonly memoryMaximumBytes?: number
  /** What an emulated processor keeps beside its RAM; left out: nothing. */
  readonly rooms?: ProcessorRooms
  /** 1 or more. */
  readonly vpCount: number
  /** HvPartitionProperty and value, set before Initialize in this order. */
  readonly properties: readonly (readonly [code: number, value: number | bigint])[]
  readonly openDoorbell: (vp: number) => VpDoorbell
  readonly closeDoorbell: (vp: number) => void
  readonly listener: PartitionListener
}

/** A new partition, or the status of the call that refused it and what that call was about, in a few words. */
export type VidResult = { readonly ok: true; readonly partition: VidPartition } | VidRefusal

export interface VidRefusal {
  readonly ok: false
  readonly status: HvStatus
  readonly reason: string
}

const RIGHTS: number =
  HvMapFlags.READ | HvMapFlags.WRITE | HvMapFlags.KERNEL_EXECUTE | HvMapFlags.USER_EXECUTE
const MIB = 1024 * 1024

export class Vid {
  readonly #hypervisor: Hypervisor
  readonly #winhv: WinHv

  constructor(hypervisor: Hypervisor, winhv: WinHv) {
    this.#hypervisor = hypervisor
    this.#winhv = winhv
  }

  /** A partition whose VPs are suspended: see `start`. */
  create(spec: VidSpec): VidResult {
    const made = this.#winhv.createPartition()
    if (made !== HvStatus.SUCCESS) return refused(made, 'the partition')
    const id = this.#winhv.created
    const result = this.#build(id, spec)
    if (!result.ok) this.delete(id)
    return result
  }

  /** The VPs run guest code as soon as they are granted a processor. */
  start(partition: VidPartition): void {
    for (let vp = 0; vp < partition.vpCount; vp++) {
      this.#winhv.setExplicitSuspend(partition.id, vp, false)
    }
  }

  /**
   * More RAM for a partition that may be running: `bytes` after what it has, mapped at its own place. A refusal changes nothing;
   * see Hypervisor.grow. Further INSUFFICIENT_MEMORY: its SLAT has no room for the map.
   */
  addMemory(partition: VidPartition, bytes: number): VidRefusal | null {
    const { id, slat } = partition
    const first = slat.ramPages
    const grown = this.#hypervisor.grow(id, bytes / PAGE_SIZE)
    if (grown !== HvStatus.SUCCESS) return this.#tooLittle(grown, `${bytes} bytes more of RAM`)
    const mapped = this.#mapAll(id, first, slat.ramPages)
    if (mapped === HvStatus.SUCCESS) return null
    this.#hypervisor.takeBack(id, first)
    return this.#tooLittle(mapped, 'the map of its new RAM')
  }

  /** The partition ends, whatever state it is in; its pages are the machine's again. */
  delete(id: number): void {
    this.#winhv.finalizePartition(id)
    this.#winhv.withdrawMemory(id)
    this.#winhv.deletePartition(id)
  }

  #build(id: number, spec: VidSpec): VidResult {
    for (const [code, value] of spec.properties) {
      const status = this.#winhv.setPartitionProperty(id, code, value)
      if (status !== HvStatus.SUCCESS) return refused(status, `its property ${nameOf(code)}`)
    }
    const initialized = this.#winhv.initializePartition(id)
    if (initialized !== HvStatus.SUCCESS) return this.#tooLittle(initialized, 'the partition')
    const ram = this.#giveRam(id, spec)
    if (ram !== HvStatus.SUCCESS) {
      return this.#tooLittle(ram, `${megabytes(largestRam(spec))} of RAM`)
    }
    const mapped = this.#mapAll(id, 0, spec.memoryBytes / PAGE_SIZE)
    if (mapped !== HvStatus.SUCCESS) return this.#tooLittle(mapped, 'the map of its RAM')
    for (let vp = 0; vp < spec.vpCount; vp++) {
      const status = this.#winhv.createVp(id, vp)
      if (status !== HvStatus.SUCCESS) return this.#tooLittle(status, `virtual processor ${vp}`)
    }
    const hardware = this.#hypervisor.partitions.get(id)!
    return { ok: true, partition: new VidPartition(id, spec.vpCount, hardware, this.#winhv) }
  }

  /** RAM of its own for the partition, and the machine's pages behind all that it may grow to. */
  #giveRam(id: number, spec: VidSpec): HvStatus {
    // Asked before the platform is: what does not fit the machine is never reserved.
    if (largestRam(spec) / PAGE_SIZE > this.#hypervisor.hostMemory.freePages) {
      return HvStatus.INSUFFICIENT_MEMORY
    }
    const memory = reserve(spec)
    if (memory === null) return HvStatus.INSUFFICIENT_ROOT_MEMORY
    const { openDoorbell, closeDoorbell, listener } = spec
    return this.#hypervisor.back(id, { memory, openDoorbell, closeDoorbell, listener })
  }

  /** RAM pages `from` to `end` at their own places. */
  #mapAll(id: number, from: number, end: number): HvStatus {
    for (const extent of this.#hypervisor.hostMemory.ramOf(id, from, end)) {
      const status = this.#map(id, extent)
      if (status !== HvStatus.SUCCESS) return status
    }
    return HvStatus.SUCCESS
  }

  /** Every page of RAM at its own place: large pages where both sides are aligned, small ones around them. */
  #map(id: number, extent: RamExtent): HvStatus {
    let done = 0
    while (done < extent.pageCount) {
      const large = largePages(extent, done)
      const step = large > 0 ? SLAT_CHUNK_PAGES : 1
      const count = large > 0 ? large : smallPages(extent, done)
      const pages = Array.from({ length: count }, (_, i) => extent.hostPage + done + i * step)
      const flags = large > 0 ? RIGHTS | HvMapFlags.LARGE_PAGE : RIGHTS
      const status = this.#winhv.mapGpaPages(id, extent.ramPage + done, pages, flags >>> 0)
      if (status !== HvStatus.SUCCESS) return status
      done += count * step
    }
    return HvStatus.SUCCESS
  }

  #tooLittle(status: HvStatus, what: string): VidRefusal {
    if (status !== HvStatus.INSUFFICIENT_MEMORY) return refused(status, what)
    const { freePages, pageCount } = this.#hypervisor.hostMemory
    const free = megabytes(freePages * PAGE_SIZE)
    return refused(
      status,
      `${what}; the host has ${free} of ${megabytes(pageCount * PAGE_SIZE)} left`,
    )
  }
}

/** Large pages from here on that one call can list. They can be mapped only where both numbers are multiples of 512. */
function largePages(extent: RamExtent, done: number): number {
  const isAligned =
    (extent.hostPage + done) % SLAT_CHUNK_PAGES === 0 &&
    (extent.ramPage + done) % SLAT_CHUNK_PAGES === 0
  if (!isAligned) return 0
  return Math.min(PAGE_LIST_MAX, Math.floor((extent.pageCount - done) / SLAT_CHUNK_PAGES))
}

/** Small pages from here on: as many as one call can list, up to the next place where large ones may begin. */
function smallPages(extent: RamExtent, done: number): number {
  const toAligned = SLAT_CHUNK_PAGES - ((extent.ramPage + done) % SLAT_CHUNK_PAGES)
  return Math.min(PAGE_LIST_MAX, extent.pageCount - done, toAligned)
}

function largestRam(spec: VidSpec): number {
  return spec.memoryMaximumBytes ?? spec.memoryBytes
}

/** RAM, or null when the platform cannot reserve it. */
function reserve(spec: VidSpec): GuestMemory | null {
  const { memoryBytes: sizeBytes, rooms } = spec
  try {
    if (rooms !== undefined) return GuestMemory.create({ sizeBytes, rooms })
    return GuestMemory.create({ sizeBytes, maximumBytes: largestRam(spec) })
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

function refused(status: HvStatus, what: string): VidRefusal {
  return { ok: false, status, reason: `${hvStatusName(status)} for ${what}` }
}

function megabytes(bytes: number): string {
  return `${Math.floor(bytes / MIB)} MiB`
}

function nameOf(code: number): string {
  const names = Object.entries(HvPartitionProperty)
  return names.find(([, value]) => value === code)?.[0] ?? `0x${code.toString(16)}`
}
