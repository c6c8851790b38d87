// Partitions of a disk: runs of its blocks, counted from 0, that reach nothing beside themselves.

import type {
  DiskData,
  GuestBlocks,
  GuestDisk,
  GuestPartition,
  NewPartitionTable,
} from '../api/disks.ts'
import { readPartitionTable, writePartitionTable, type PartitionEntry } from './partition-table.ts'

/** What its table says; none without a table. */
export async function partitionsOf(disk: GuestDisk): Promise<readonly GuestPartition[]> {
  const table = await readPartitionTable(disk)
  return (table?.partitions ?? []).map((entry) => new Partition(disk, entry))
}

/** Writes a table, and gives what it says. */
export async function makePartitions(
  disk: GuestDisk,
  { guid, partitions }: NewPartitionTable,
): Promise<readonly GuestPartition[]> {
  await writePartitionTable(disk, guid, partitions)
  return partitionsOf(disk)
}

class Partition implements GuestPartition {
  readonly name: string
  readonly type: string
  readonly guid: string
  readonly firstBlock: number
  readonly blockCount: number
  readonly #disk: GuestBlocks

  constructor(disk: GuestBlocks, entry: PartitionEntry) {
    this.name = entry.name
    this.type = entry.type
    this.guid = entry.guid
    this.firstBlock = entry.firstBlock
    this.blockCount = entry.blockCount
    this.#disk = disk
  }

  get blockBytes(): number {
    return this.#disk.blockBytes
  }

  get sizeBytes(): number {
    return this.blockCount * this.blockBytes
  }

  get readOnly(): boolean {
    return this.#disk.readOnly
  }

  get canDiscard(): boolean {
    return this.#disk.canDiscard
  }

  read(block: number, count: number): Promise<Uint8Array>
  read<T extends DiskData>(block: number, into: T): Promise<T>
  async read(block: number, to: number | DiskData): Promise<DiskData> {
    if (typeof to === 'number') return this.#disk.read(this.#at(block, to), to)
    return this.#disk.read(this.#at(block, this.#blocksOf(to)), to)
  }

  async write(
    block: number,
    data: DiskData,
    options?: { readonly durable?: boolean },
  ): Promise<void> {
    await this.#disk.write(this.#at(block, this.#blocksOf(data)), data, options)
  }

  flush(): Promise<void> {
    return this.#disk.flush()
  }

  async discard(block: number, count: number): Promise<void> {
    await this.#disk.discard(this.#at(block, count), count)
  }

  async writeZeroes(block: number, count: number): Promise<void> {
    await this.#disk.writeZeroes(this.#at(block, count), count)
  }

  #blocksOf(data: DiskData): number {
    return (data instanceof Uint8Array ? data : data.bytes).length / this.blockBytes
  }

  /** The disk's block. Throws for what is not all the partition's. */
  #at(block: number, count: number): number {
    const fits = block >= 0 && count >= 0 && block <= this.blockCount - count
    if (fits) return this.firstBlock + block
    const asked = `${count} blocks from ${block} on`
    throw new RangeError(`partition "${this.name}": ${asked} are not within its ${this.blockCount}`)
  }
}
