// HOT (poll)
// The disks of all partitions, as the root polls them: those that are due are woken, those that nobody uses any more are closed.

import type { VmbusServer } from '@guestyard/vmbus/server'

import { ClosingDisks } from './closing-disks.ts'
import { GrowingDisks } from './growing-disks.ts'
import { PartitionDisks, type OpenDisk } from './partition-disks.ts'

export interface RootDisksOptions {
  readonly open: OpenDisk | null
  readonly onWork: () => void
  readonly onLost: (image: string) => void
}

/** Disks that wait are looked at so often while the root is busy with other things. */
const LOOK_MS = 0.25
const CLOSING_BUDGET = 64

/** Root thread only. */
export class RootDisks {
  readonly #options: RootDisksOptions
  readonly #closing: ClosingDisks
  readonly #growing = new GrowingDisks()
  readonly #partitions: PartitionDisks[] = []
  /** When disks are looked at next. */
  #lookMs = 0

  constructor(options: RootDisksOptions) {
    this.#options = options
    this.#closing = new ClosingDisks(options.onLost)
  }

  /** The disks of a new partition: none yet. */
  add(bus: VmbusServer, partitionId: number, vpCount: number): PartitionDisks {
    const { open, onWork } = this.#options
    const closing = this.#closing
    const growing = this.#growing
    const disks = new PartitionDisks({ bus, partitionId, vpCount, open, closing, growing, onWork })
    this.#partitions.push(disks)
    return disks
  }

  /** The partition is over. Resolves when its images are free. */
  remove(disks: PartitionDisks): Promise<void> {
    const at = this.#partitions.indexOf(disks)
    if (at >= 0) this.#partitions.splice(at, 1)
    return disks.close()
  }

  /** Images that were closed, and disks that have grown. What is due gets its turn in the poll of its bus. */
  poll(nowMs: number): number {
    const isIdle = this.#closing.size === 0 && this.#growing.size === 0
    return isIdle && nowMs < this.#lookMs ? 0 : this.#look(nowMs)
  }

  nextDeadlineMs(): number {
    let dueMs = this.#closing.nextDeadlineMs()
    for (const disks of this.#partitions) dueMs = Math.min(dueMs, disks.nextDeadlineMs())
    // Whoever sleeps until then is served when it comes.
    if (dueMs < this.#lookMs) this.#lookMs = dueMs
    return dueMs
  }

  #look(nowMs: number): number {
    if (nowMs >= this.#lookMs) {
      this.#lookMs = nowMs + LOOK_MS
      for (const disks of this.#partitions) disks.wakeDue(nowMs)
    }
    const grown = this.#growing.size === 0 ? 0 : this.#growing.poll()
    return this.#closing.size === 0 ? grown : grown + this.#closing.poll(CLOSING_BUDGET)
  }
}
