import { setImmediate } from 'node:timers/promises'

import type { Disk } from '@guestyard/storage'

/** Waits as an engine does: until the file says that a sync has ended, or not at all when the disk has work of its own. */
export class Waker {
  #woken = Promise.withResolvers<void>()

  /** What the file is opened with. */
  readonly wake = (): void => this.#woken.resolve()

  /** A disk that is never woken is never polled again: the test times out. */
  async turn(disk: Disk): Promise<void> {
    if (disk.nextDeadlineMs() !== Infinity) {
      await setImmediate()
      return
    }
    await this.#woken.promise
    this.#woken = Promise.withResolvers()
  }
}
