// Disks in memory whose bytes outlive their partition: a machine that is reset gets another partition, and finds what it wrote.

import type { MemoryDisk } from '@guestyard/storage'

/** Root thread only. */
export class KeptMemory {
  readonly #disks: Map<string, MemoryDisk> = new Map()

  /** The disk that was opened last under this key, whose bytes the next one takes over. */
  get(key: string): MemoryDisk | undefined {
    return this.#disks.get(key)
  }

  keep(key: string, disk: MemoryDisk): void {
    this.#disks.set(key, disk)
  }

  /** Whoever chose these keys is gone. */
  forget(keys: Iterable<string>): void {
    for (const key of keys) this.#disks.delete(key)
  }
}
