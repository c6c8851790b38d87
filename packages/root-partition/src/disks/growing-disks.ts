// Disks that become larger while their guests use them. The root polls them with everything else.

import { ImageError, type ImageJob } from '@guestyard/storage'

interface Growing {
  readonly job: ImageJob
  readonly done: PromiseWithResolvers<string | null>
}

/** Root thread only. */
export class GrowingDisks {
  readonly #disks: Growing[] = []

  get size(): number {
    return this.#disks.length
  }

  /** Resolves when the disk has its new size, with null, or with why it has not, in one line. */
  add(job: ImageJob): Promise<string | null> {
    const growing = { job, done: Promise.withResolvers<string | null>() }
    if (!step(growing)) this.#disks.push(growing)
    return growing.done.promise
  }

  /** How many have ended. */
  poll(): number {
    let ended = 0
    for (let at = this.#disks.length - 1; at >= 0; at -= 1) {
      if (!step(this.#disks[at]!)) continue
      this.#disks.splice(at, 1)
      ended += 1
    }
    return ended
  }
}

/** True when it has ended. */
function step({ job, done }: Growing): boolean {
  try {
    if (!job.step()) return false
    done.resolve(null)
  } catch (error) {
    if (!(error instanceof ImageError)) throw error
    done.resolve(error.message)
  }
  return true
}
