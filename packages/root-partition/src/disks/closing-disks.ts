// Disks that nobody uses any more, until their images are flushed and let go. The root polls them with everything else.

import { DiskStatus, type Disk } from '@guestyard/storage'

/** A disk on its way out. */
export interface LeavingDisk {
  readonly disk: Disk
  /** The image, for people. */
  readonly name: string
  /** Goes on with what its guest had under way. True when nothing of that is left, and the disk may be closed. */
  settle(): boolean
}

interface Closing {
  readonly leaving: LeavingDisk
  readonly done: PromiseWithResolvers<void>
  isClosing: boolean
}

/** Root thread only. */
export class ClosingDisks {
  readonly #disks: Closing[] = []
  readonly #onLost: (name: string) => void

  /** `onLost`: not all that was acknowledged could be made durable. */
  constructor(onLost: (name: string) => void) {
    this.#onLost = onLost
  }

  get size(): number {
    return this.#disks.length
  }

  /** Closes the disk once its guest has nothing under way. Resolves when its image is free for others. */
  add(leaving: LeavingDisk): Promise<void> {
    const closing = { leaving, done: Promise.withResolvers<void>(), isClosing: false }
    if (this.#step(closing, 0)) this.#end(closing)
    else this.#disks.push(closing)
    return closing.done.promise
  }

  /** Disks that have closed. */
  poll(budget: number): number {
    let ended = 0
    for (let at = this.#disks.length - 1; at >= 0; at -= 1) {
      const closing = this.#disks[at]!
      if (!this.#step(closing, budget)) continue
      this.#disks.splice(at, 1)
      this.#end(closing)
      ended += 1
    }
    return ended
  }

  nextDeadlineMs(): number {
    let dueMs = Number.POSITIVE_INFINITY
    for (const { leaving } of this.#disks) dueMs = Math.min(dueMs, leaving.disk.nextDeadlineMs())
    return dueMs
  }

  /** True when the disk is closed. */
  #step(closing: Closing, budget: number): boolean {
    const { disk } = closing.leaving
    if (!closing.isClosing) {
      if (!closing.leaving.settle()) return false
      closing.isClosing = true
      disk.close()
    }
    if (!disk.closed) disk.poll(budget)
    return disk.closed
  }

  #end({ leaving, done }: Closing): void {
    if (leaving.disk.closeStatus !== DiskStatus.OK) this.#onLost(leaving.name)
    done.resolve()
  }
}
