// The disks of a guest: what its controllers have found, by address, and who waits for one.

import type { DiskEvent, GuestDisk, GuestDisks } from '../api/disks.ts'
import { EventStream } from '../api/event-stream.ts'
import type { BlockDisk } from './block-disk.ts'

interface Waiter {
  readonly which: number | string
  readonly found: PromiseWithResolvers<GuestDisk>
}

/** VP's thread only. */
export class DiskRegistry implements GuestDisks {
  readonly events: EventStream<DiskEvent> = new EventStream()
  readonly #disks: Map<string, BlockDisk> = new Map()
  readonly #waiters: Set<Waiter> = new Set()
  /** Controllers that are there and have not been looked at yet. */
  #unknown = 0
  #settled: PromiseWithResolvers<void> | null = null

  get list(): readonly GuestDisk[] {
    return [...this.#disks.values()].toSorted((a, b) => byAddress(a.address, b.address))
  }

  async ready(): Promise<readonly GuestDisk[]> {
    if (this.#unknown > 0) {
      this.#settled ??= Promise.withResolvers()
      await this.#settled.promise
    }
    return this.list
  }

  async get(which: number | string): Promise<GuestDisk> {
    if (typeof which === 'number') await this.ready()
    const here = this.#find(which)
    if (here !== undefined) return here
    const waiter = { which, found: Promise.withResolvers<GuestDisk>() }
    this.#waiters.add(waiter)
    return waiter.found.promise
  }

  /** A driver's: there is a controller. Its disks follow. */
  expect(): void {
    this.#unknown += 1
  }

  /** A driver's: what it has is known, or will never be. Once for each `expect`. */
  known(): void {
    this.#unknown -= 1
    if (this.#unknown > 0) return
    this.#settled?.resolve()
    this.#settled = null
  }

  add(disk: BlockDisk): void {
    this.#disks.set(disk.address, disk)
    this.events.push({ is: 'added', disk })
    for (const waiter of this.#waiters) {
      const found = this.#find(waiter.which)
      if (found === undefined) continue
      this.#waiters.delete(waiter)
      waiter.found.resolve(found)
    }
  }

  remove(disk: BlockDisk): void {
    if (this.#disks.get(disk.address) !== disk) return
    this.#disks.delete(disk.address)
    disk.leave()
    this.events.push({ is: 'removed', disk })
  }

  /** A disk has another size, or a drive another medium. */
  change(disk: BlockDisk, blockCount: number): void {
    disk.blockCount = blockCount
    this.events.push({ is: disk.kind === 'dvd' ? 'medium' : 'resized', disk })
  }

  /** The bus is gone: nobody waits any longer. */
  end(reason: string): void {
    for (const { found } of this.#waiters) found.reject(new Error(reason))
    this.#waiters.clear()
    this.events.end()
  }

  #find(which: number | string): GuestDisk | undefined {
    if (typeof which === 'string') return this.#disks.get(which)
    return this.list.filter((disk) => disk.kind === 'disk')[which]
  }
}

/** `ide0:1` before `scsi0:0`, `scsi0:2` before `scsi0:10`. */
function byAddress(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}
