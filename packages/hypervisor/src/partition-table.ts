// The child partitions that there are, by id, and in the order in which the root's pass looks at them. Root's thread only.

import { partitionId } from '@guestyard/hvdef'
import type { PartitionId } from '@guestyard/hvdef'

import { Partition } from './partition.ts'
import type { Clock } from './clock.ts'

/** The root partition's id. Children get the numbers after it, each once. */
export const ROOT_PARTITION_ID: PartitionId = partitionId(1)

export class PartitionTable {
  readonly #clock: Clock
  readonly #maxPartitions: number
  readonly #partitions: Map<number, Partition> = new Map()
  /** Those with VPs. Replaced, never changed, so that a pass may delete partitions. */
  polled: readonly Partition[] = []
  #lastId: number = ROOT_PARTITION_ID

  constructor(clock: Clock, maxPartitions: number) {
    this.#clock = clock
    this.#maxPartitions = maxPartitions
  }

  get size(): number {
    return this.#partitions.size
  }

  get(id: number): Partition | undefined {
    return this.#partitions.get(id)
  }

  values(): IterableIterator<Partition> {
    return this.#partitions.values()
  }

  /** A partition with an id that none had before, or null when there are as many as there may be. */
  create(): Partition | null {
    if (this.#partitions.size >= this.#maxPartitions) return null
    this.#lastId += 1
    const partition = new Partition(partitionId(this.#lastId), this.#clock)
    this.#partitions.set(partition.id, partition)
    return partition
  }

  remove(id: number): void {
    this.#partitions.delete(id)
    this.vpsChanged()
  }

  /** The partition with the lowest id above `id`, or 0. */
  next(id: number): number {
    let next = 0
    for (const candidate of this.#partitions.keys()) {
      if (candidate > id && (next === 0 || candidate < next)) next = candidate
    }
    return next
  }

  /** VPs were created or deleted. */
  vpsChanged(): void {
    this.polled = [...this.#partitions.values()].filter(({ vps }) => vps.length > 0)
  }
}
