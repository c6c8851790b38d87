// Disks as a guest program sees them. Types only.

/** Pages of the guest's own RAM, one after the other, that a disk reads into and writes from with no copy in between. */
export interface DmaBuffer {
  /** Address of the first byte: the start of a page. */
  readonly gpa: number
  /** The bytes themselves. */
  readonly bytes: Uint8Array
  /** Gives the pages back; the buffer is not to be used any more. */
  free(): void
}

/** RAM for devices. */
export interface GuestDma {
  /** `byteLength` bytes, rounded up to whole pages. Throws when the guest has no such run of pages left. */
  alloc(byteLength: number): DmaBuffer
}

/** Bytes that a read fills or a write takes: a buffer of pages (no copy), or any array (one copy). Whole blocks. */
export type DiskData = DmaBuffer | Uint8Array

/** Why a request failed. `message` is one line: what was asked, and what the disk said. */
export interface DiskFailure extends Error {
  readonly operation: DiskOperationName
  /** First block that was asked for; 0 for a flush. */
  readonly block: number
}

export type DiskOperationName = 'read' | 'write' | 'flush' | 'discard' | 'writeZeroes'

/** A run of blocks: a disk, or a partition of one. */
export interface GuestBlocks {
  /** Bytes of a block, the unit of every request: 512, 2048 (a DVD) or 4096. */
  readonly blockBytes: number
  /** Blocks now, 0 in an empty drive; `resized` and `medium` tell of changes. */
  readonly blockCount: number
  readonly sizeBytes: number
  readonly readOnly: boolean
  /** `discard` is served. */
  readonly canDiscard: boolean
  /** Reads `count` blocks from `block` on into a new array. Rejects with a `DiskFailure`, as all of these do. */
  read(block: number, count: number): Promise<Uint8Array>
  /** Reads as many blocks as `into` has room for. */
  read<T extends DiskData>(block: number, into: T): Promise<T>
  /** Writes whole blocks. With `durable`, they are on the host's disk when this resolves, without a flush. */
  write(block: number, data: DiskData, options?: { readonly durable?: boolean }): Promise<void>
  /** What was written before, resolved, is on the host's disk when this resolves. */
  flush(): Promise<void>
  /** Gives blocks up: what they hold is lost, and the host has its room back. */
  discard(block: number, count: number): Promise<void>
  /** Makes blocks read as zeros; no data travels. */
  writeZeroes(block: number, count: number): Promise<void>
}

/** A disk or DVD drive. */
export interface GuestDisk extends GuestBlocks {
  /** Where it is: `scsi0:3` or `ide0:1`, controller and place. */
  readonly address: string
  readonly kind: 'disk' | 'dvd'
  /** The name it has on every host (VPD page 0x83), in hexadecimal; empty when it tells none. */
  readonly id: string
  readonly vendor: string
  readonly product: string
  readonly physicalBlockBytes: number
  /** Requests of this program that are with the host at a time; more wait their turn here. */
  readonly queueDepth: number
  /** Most bytes of one request on the bus; larger ones are made several. */
  readonly maxTransferBytes: number
  /** False once it was taken out: every request fails. */
  readonly isPresent: boolean
  /** Requests without promises, for loops that must not allocate. */
  readonly queue: BlockQueue
  /** Its partitions; none without a table. Rejects when there is a table and neither copy of it is whole. */
  partitions(): Promise<readonly GuestPartition[]>
  /** Writes a partition table, whatever was there. GUIDs in upper case; a partition without one gets one of the table's. */
  partition(table: NewPartitionTable): Promise<readonly GuestPartition[]>
}

/** A partition: blocks of its own, counted from 0. */
export interface GuestPartition extends GuestBlocks {
  readonly name: string
  readonly type: string
  readonly guid: string
  /** Where it begins on its disk. */
  readonly firstBlock: number
}

export interface NewPartitionTable {
  readonly guid: string
  readonly partitions: readonly {
    readonly name: string
    readonly type: string
    readonly guid: string
    readonly firstBlock: number
    readonly blockCount: number
  }[]
}

/** What happened to a disk. */
export interface DiskEvent {
  /** `medium`: a DVD drive has another disc, or none: `blockCount` is 0 then. */
  readonly is: 'added' | 'removed' | 'resized' | 'medium'
  readonly disk: GuestDisk
}

/** The guest's disks. */
export interface GuestDisks {
  /** Those that are there now, by address. */
  readonly list: readonly GuestDisk[]
  /** Resolves when every controller there is has been looked at, with what they have. */
  ready(): Promise<readonly GuestDisk[]>
  /** Disk number `which` of those that are there (DVD drives are not counted), or the one at an address; waits until it is there. */
  get(which: number | string): Promise<GuestDisk>
  /** Disks that come, go and grow, and discs that change, from now on. One reader. */
  readonly events: AsyncIterable<DiskEvent>
}

/** A request without promises: made once by `BlockQueue.request`, and filled again and again. */
export interface BlockRequest {
  /** Pages of the data, in order: page frame numbers. */
  readonly pfns: Uint32Array
  /** First byte of the data in the first page. */
  offsetBytes: number
  lengthBytes: number
  readonly isPending: boolean
  /** The data are the `lengthBytes` bytes of RAM from `gpa` on. */
  setData(gpa: number, lengthBytes: number): void
}

/**
 * Requests straight to the driver. Nothing here allocates but `request`. The data of a request is set before it is submitted; until
 * it has ended its pages belong to the host. False: the disk is gone, and `done` is not called.
 */
export interface BlockQueue {
  /** A request with room for `maxPages` pages. `done` is called in the kernel's poll, once each time it was submitted, and may submit again. */
  request(maxPages: number, done: (request: BlockRequest) => void): BlockRequest
  /** `count` blocks into the request's data, which has their length. */
  read(request: BlockRequest, block: number, count: number): boolean
  write(request: BlockRequest, block: number, count: number, durable: boolean): boolean
  flush(request: BlockRequest): boolean
  /** Needs a page of the guest's as data: what is to be given up is written there. At most `maxDiscardBlocks`. */
  discard(request: BlockRequest, block: number, count: number): boolean
  /** At most `maxWriteZeroesBlocks`. */
  writeZeroes(request: BlockRequest, block: number, count: number): boolean
  readonly maxDiscardBlocks: number
  readonly maxWriteZeroesBlocks: number
  /** Why an ended request failed, in one line; null when it did not. */
  problem(request: BlockRequest): string | null
  /** Hands what was submitted to the host now. After submitting anywhere but in `done`, whose poll does it by itself. */
  publish(): void
}
