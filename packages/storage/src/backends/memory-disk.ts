// HOT: a disk in memory: a read is a copy between two memories.

import { WASM_PAGE_SIZE, createCopyKernel, wasm } from '@guestyard/guestmem'
import type { CopyKernel, GuestMemory, WasmMemory } from '@guestyard/guestmem'
import { assert } from '@guestyard/hvdef'

import { admit } from './admission.ts'
import { DiskOperation, DiskStatus } from './disk.ts'
import type { Disk, DiskGeometry, DiskRequest } from './disk.ts'
import { ZeroQueue } from './zero-queue.ts'

/** What a 32-bit WebAssembly memory can address. */
export const MEMORY_DISK_MAX_BYTES: number = 65536 * WASM_PAGE_SIZE

export interface MemoryDiskOptions {
  /** A positive multiple of the block size, at most 4 GiB. The host backs what was written, not the rest. */
  readonly sizeBytes: number
  /** 512 when left out. */
  readonly logicalBlockBytes?: 512 | 4096
  /** 4096 when left out. */
  readonly physicalBlockBytes?: 512 | 4096
  readonly readOnly?: boolean
  /** 16 bytes; zeros when left out, which names no disk in particular. */
  readonly uniqueId?: Uint8Array
  /** A closed disk of the same size, whose bytes this one takes over. */
  readonly bytesOf?: MemoryDisk
}

/**
 * Blocks in a memory that only this object holds. Everything ends at once but long zeroing. Flushed or not, nothing of it outlives
 * the thread.
 */
export class MemoryDisk implements Disk {
  readonly geometry: DiskGeometry
  readonly closeStatus: DiskStatus = DiskStatus.OK
  closed = false
  /** All of its bytes, for whoever made the disk: to fill it, to look at it. */
  readonly bytes: Uint8Array
  readonly #memory: WasmMemory
  readonly #blockBytes: number
  readonly #zeros: ZeroQueue
  /** The kernel for the guest that is asking; a disk has one guest. */
  #guest: GuestMemory | null = null
  #kernel: CopyKernel | null = null

  /** Throws a RangeError when the platform can't reserve the memory. */
  constructor(options: MemoryDiskOptions) {
    const { sizeBytes, logicalBlockBytes = 512, physicalBlockBytes = 4096 } = options
    const isWhole = sizeBytes > 0 && sizeBytes % logicalBlockBytes === 0
    assert(isWhole, 'A disk in memory has a whole number of blocks.')
    assert(sizeBytes <= MEMORY_DISK_MAX_BYTES, 'A disk in memory has at most 4 GiB.')
    const pages = Math.ceil(sizeBytes / WASM_PAGE_SIZE)
    const { bytesOf } = options
    const isFree = bytesOf === undefined || (bytesOf.closed && bytesOf.bytes.length === sizeBytes)
    assert(isFree, 'Bytes are taken over from a closed disk of the same size.')
    this.#memory =
      bytesOf === undefined ? new wasm.Memory({ initial: pages, maximum: pages }) : bytesOf.#memory
    this.bytes = new Uint8Array(this.#memory.buffer, 0, sizeBytes)
    this.#blockBytes = logicalBlockBytes
    const readOnly = options.readOnly ?? false
    this.geometry = {
      logicalBlockBytes,
      physicalBlockBytes: logicalBlockBytes === 4096 ? 4096 : physicalBlockBytes,
      blockCount: sizeBytes / logicalBlockBytes,
      readOnly,
      canUnmap: !readOnly,
      unmapReadsZeros: true,
      uniqueId: options.uniqueId ?? new Uint8Array(16),
    }
    const zero = (position: number, lengthBytes: number): DiskStatus => {
      this.bytes.fill(0, position, position + lengthBytes)
      return DiskStatus.OK
    }
    this.#zeros = new ZeroQueue(logicalBlockBytes, zero, () => undefined)
  }

  submit(request: DiskRequest): void {
    request.status = this.closed ? DiskStatus.ABORTED : admit(this.geometry, request)
    if (request.status !== DiskStatus.OK || request.operation === DiskOperation.FLUSH) return
    if (request.operation >= DiskOperation.UNMAP) {
      this.#zeros.submit(request)
    } else if (request.data.memory === null) {
      this.#copyBytes(request)
    } else {
      this.#copyGuest(request, request.data.memory)
    }
  }

  poll(budget: number): number {
    return this.#zeros.poll(budget)
  }

  nextDeadlineMs(): number {
    return this.#zeros.isEmpty ? Infinity : 0
  }

  abort(request: DiskRequest): void {
    this.#zeros.abort(request)
  }

  close(): void {
    this.#zeros.abortAll()
    this.closed = true
  }

  #copyGuest(request: DiskRequest, guest: GuestMemory): void {
    if (this.#guest !== guest) {
      this.#guest = guest
      this.#kernel = createCopyKernel(this.#memory, guest.memory)
    }
    const kernel = this.#kernel!
    // RAM begins somewhere in its memory, behind what an emulated processor keeps there.
    const { baseBytes } = guest
    const { addresses, lengths, count } = request.data
    let position = request.block * this.#blockBytes
    const isRead = request.operation === DiskOperation.READ
    for (let piece = 0; piece < count; piece++) {
      const lengthBytes = lengths[piece]!
      const remoteAt = baseBytes + addresses[piece]!
      if (isRead) kernel.toRemote(remoteAt, position, lengthBytes)
      else kernel.toLocal(position, remoteAt, lengthBytes)
      position += lengthBytes
    }
  }

  /** Bytes of the host's own: no kernel reaches them. */
  #copyBytes(request: DiskRequest): void {
    const { addresses, lengths, count, bytes } = request.data
    let position = request.block * this.#blockBytes
    for (let piece = 0; piece < count; piece++) {
      const at = addresses[piece]!
      const lengthBytes = lengths[piece]!
      if (request.operation === DiskOperation.READ) {
        bytes.set(this.bytes.subarray(position, position + lengthBytes), at)
      } else {
        this.bytes.set(bytes.subarray(at, at + lengthBytes), position)
      }
      position += lengthBytes
    }
  }
}
