// A disk of a guest with promises: requests of any length, made into as many as the bus takes, from RAM or any array.

import type { GuestMemory } from '@guestyard/guestmem'
import { PAGE_SIZE } from '@guestyard/hvdef'

import type {
  BlockQueue,
  BlockRequest,
  DiskData,
  DiskFailure,
  DiskOperationName,
  GuestDisk,
  GuestPartition,
  NewPartitionTable,
} from '../api/disks.ts'
import type { PageAllocator } from '../kernel/page-allocator.ts'
import { BOUNCE_PAGES, TransferSlots, setPages, type TransferSlot } from './transfer-slots.ts'

/** What a driver found out about a disk. */
export interface DiskDescription {
  readonly address: string
  readonly kind: 'disk' | 'dvd'
  readonly id: string
  readonly vendor: string
  readonly product: string
  readonly blockBytes: number
  readonly physicalBlockBytes: number
  readonly blockCount: number
  readonly readOnly: boolean
  readonly canDiscard: boolean
  readonly maxTransferBytes: number
}

/** What the guest's kernel hands in. */
export interface DiskHome {
  readonly memory: GuestMemory
  readonly pages: PageAllocator
  /** A request was submitted outside of any poll. */
  readonly wake: () => void
}

/** Requests of one disk that its promises have with the host at a time, where there is RAM for their pages. */
const QUEUE_DEPTH_MAX = 64
/** Of the free pages, what one disk may come to use for copies. */
const PAGES_SHARE = 1 / 4

export class DiskFailureError extends Error implements DiskFailure {
  readonly operation: DiskOperationName
  readonly block: number

  constructor(address: string, operation: DiskOperationName, block: number, problem: string) {
    super(`${address}: ${operation} of block ${block}: ${problem}`)
    this.name = 'DiskFailure'
    this.operation = operation
    this.block = block
  }
}

/** VP's thread only. */
export class BlockDisk implements GuestDisk {
  readonly address: string
  readonly kind: 'disk' | 'dvd'
  readonly id: string
  readonly vendor: string
  readonly product: string
  readonly blockBytes: number
  readonly physicalBlockBytes: number
  readonly readOnly: boolean
  readonly canDiscard: boolean
  readonly queueDepth: number
  readonly maxTransferBytes: number
  readonly queue: BlockQueue
  /** Changed by its driver alone, as is the next. */
  blockCount: number
  isPresent = true
  readonly #home: DiskHome
  readonly #slots: TransferSlots

  constructor(description: DiskDescription, queue: BlockQueue, home: DiskHome) {
    this.address = description.address
    this.kind = description.kind
    this.id = description.id
    this.vendor = description.vendor
    this.product = description.product
    this.blockBytes = description.blockBytes
    this.physicalBlockBytes = description.physicalBlockBytes
    this.blockCount = description.blockCount
    this.readOnly = description.readOnly
    this.canDiscard = description.canDiscard
    this.maxTransferBytes = description.maxTransferBytes
    this.queue = queue
    this.#home = home
    const maxPages = Math.floor(description.maxTransferBytes / PAGE_SIZE)
    const share = Math.floor((home.pages.freePages * PAGES_SHARE) / BOUNCE_PAGES)
    this.queueDepth = Math.max(1, Math.min(QUEUE_DEPTH_MAX, share))
    this.#slots = new TransferSlots(queue, home.pages, this.queueDepth, maxPages)
  }

  get sizeBytes(): number {
    return this.blockCount * this.blockBytes
  }

  read(block: number, count: number): Promise<Uint8Array>
  read<T extends DiskData>(block: number, into: T): Promise<T>
  async read(block: number, to: number | DiskData): Promise<DiskData> {
    const into = typeof to === 'number' ? this.#room(to) : to
    await this.#transfer('read', block, into, false)
    return into
  }

  async write(
    block: number,
    data: DiskData,
    options: { readonly durable?: boolean } = {},
  ): Promise<void> {
    await this.#transfer('write', block, data, options.durable ?? false)
  }

  async flush(): Promise<void> {
    const slot = await this.#slots.take()
    try {
      await this.#run(slot, 'flush', 0, (request) => this.queue.flush(request))
    } finally {
      this.#slots.release(slot)
    }
  }

  async discard(block: number, count: number): Promise<void> {
    if (!this.canDiscard) throw this.#failure('discard', block, 'the disk can give up no blocks')
    await this.#eachRun(block, count, this.queue.maxDiscardBlocks, 'discard', (request, at, some) =>
      this.queue.discard(request, at, some),
    )
  }

  async writeZeroes(block: number, count: number): Promise<void> {
    const most = this.queue.maxWriteZeroesBlocks
    await this.#eachRun(block, count, most, 'writeZeroes', (request, at, some) =>
      this.queue.writeZeroes(request, at, some),
    )
  }

  async partitions(): Promise<readonly GuestPartition[]> {
    const { partitionsOf } = await import('./partitions.ts')
    return partitionsOf(this)
  }

  async partition(table: NewPartitionTable): Promise<readonly GuestPartition[]> {
    const { makePartitions } = await import('./partitions.ts')
    return makePartitions(this, table)
  }

  /** Its driver's: it was taken out. */
  leave(): void {
    this.isPresent = false
    this.#slots.dispose()
  }

  #room(count: number): Uint8Array {
    const bytes = count * this.blockBytes
    // Told before memory is asked for: no disk is larger than its blocks.
    if (Number.isInteger(count) && count >= 0 && count <= this.blockCount) {
      return new Uint8Array(bytes)
    }
    throw new RangeError(`${this.address}: ${count} is no number of its blocks`)
  }

  async #transfer(
    operation: 'read' | 'write',
    block: number,
    data: DiskData,
    durable: boolean,
  ): Promise<void> {
    const bytes = data instanceof Uint8Array ? data : data.bytes
    if (bytes.length % this.blockBytes !== 0) {
      const problem = `${bytes.length} bytes are no whole blocks of ${this.blockBytes}`
      throw new RangeError(`${this.address}: ${operation}: ${problem}`)
    }
    if (!(Number.isSafeInteger(block) && block >= 0)) {
      throw new RangeError(`${this.address}: ${operation}: ${block} is no block`)
    }
    // Each resolves with what failed, or null: one that fails while others wait for a slot is nobody's unhandled rejection.
    const pieces: Promise<unknown>[] = []
    let failure: unknown = null
    const ended = (error: unknown): void => void (failure ??= error)
    for (let at = 0; at < bytes.length && failure === null;) {
      const slot = await this.#slots.take()
      const lengthBytes = this.#pieceBytes(slot, data, bytes.length - at)
      if (lengthBytes === 0) {
        this.#slots.release(slot)
        failure ??= new Error(`${this.address}: ${operation}: the guest has no free page for it`)
        break
      }
      const first = block + at / this.blockBytes
      const piece = this.#piece(slot, operation, first, data, at, lengthBytes, durable)
      pieces.push(piece.catch(ended))
      at += lengthBytes
    }
    // Every piece has ended before anybody may use the bytes again.
    await Promise.all(pieces)
    if (failure !== null) throw failure
  }

  /** Bytes that one request moves: what the bus takes of RAM, what the slot's own pages hold of an array. 0: there are none. */
  #pieceBytes(slot: TransferSlot, data: DiskData, leftBytes: number): number {
    const most =
      data instanceof Uint8Array
        ? Math.min(this.#slots.bounce(slot) * PAGE_SIZE, this.maxTransferBytes)
        : this.maxTransferBytes
    return Math.min(leftBytes, most - (most % this.blockBytes))
  }

  async #piece(
    slot: TransferSlot,
    operation: 'read' | 'write',
    block: number,
    data: DiskData,
    at: number,
    lengthBytes: number,
    durable: boolean,
  ): Promise<void> {
    const count = lengthBytes / this.blockBytes
    const { request } = slot
    const copies = data instanceof Uint8Array
    try {
      if (copies) setPages(request, slot.pages!, lengthBytes)
      else request.setData(data.gpa + at, lengthBytes)
      if (copies && operation === 'write') this.#copyIn(slot.pages!, data, at, lengthBytes)
      await this.#run(slot, operation, block, (filled) =>
        operation === 'read'
          ? this.queue.read(filled, block, count)
          : this.queue.write(filled, block, count, durable),
      )
      if (copies && operation === 'read') this.#copyOut(slot.pages!, data, at, lengthBytes)
    } finally {
      this.#slots.release(slot)
    }
  }

  async #eachRun(
    block: number,
    count: number,
    most: number,
    operation: 'discard' | 'writeZeroes',
    submit: (request: BlockRequest, block: number, count: number) => boolean,
  ): Promise<void> {
    if (![block, count].every((number) => Number.isSafeInteger(number) && number >= 0)) {
      throw new RangeError(`${this.address}: ${operation}: ${block}, ${count} are no blocks`)
    }
    const slot = await this.#slots.take()
    try {
      if (operation === 'discard') {
        if (this.#slots.bounce(slot) === 0) throw new Error(`${this.address}: no free page`)
        setPages(slot.request, slot.pages!, PAGE_SIZE)
      }
      for (let at = 0; at < count; at += most) {
        const some = Math.min(most, count - at)
        await this.#run(slot, operation, block + at, (request) => submit(request, block + at, some))
      }
    } finally {
      this.#slots.release(slot)
    }
  }

  async #run(
    slot: TransferSlot,
    operation: DiskOperationName,
    block: number,
    submit: (request: BlockRequest) => boolean,
  ): Promise<void> {
    const ended = slot.run(submit)
    this.#home.wake()
    const problem = await ended
    if (problem !== null) throw this.#failure(operation, block, problem)
  }

  #failure(operation: DiskOperationName, block: number, problem: string): DiskFailureError {
    return new DiskFailureError(this.address, operation, block, problem)
  }

  #copyIn(pages: Uint32Array, data: Uint8Array, at: number, lengthBytes: number): void {
    for (let done = 0; done < lengthBytes; done += PAGE_SIZE) {
      const some = Math.min(PAGE_SIZE, lengthBytes - done)
      const gpa = pages[done / PAGE_SIZE]! * PAGE_SIZE
      this.#home.memory.u8.set(data.subarray(at + done, at + done + some), gpa)
    }
  }

  #copyOut(pages: Uint32Array, data: Uint8Array, at: number, lengthBytes: number): void {
    for (let done = 0; done < lengthBytes; done += PAGE_SIZE) {
      const some = Math.min(PAGE_SIZE, lengthBytes - done)
      const gpa = pages[done / PAGE_SIZE]! * PAGE_SIZE
      data.set(this.#home.memory.u8.subarray(gpa, gpa + some), at + done)
    }
  }
}
