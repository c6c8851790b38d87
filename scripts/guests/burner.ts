/** Computes for ever, in small pieces: a guest that takes whatever processor it gets. */

import type { Guest } from '@guestyard/child-partition'

/** Microseconds between two looks at whether it is to end. */
const STEP = 5_000

export async function main(guest: Guest): Promise<void> {
  let used = 0
  guest.expose({ used: () => used })
  while (!guest.signal.aborted) {
    await guest.compute(STEP)
    used += STEP
  }
}
