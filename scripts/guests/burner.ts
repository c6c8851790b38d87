/** Computes for ever, in small pieces: a guest that takes whatever processor it gets, unless it is told to rest. */

import type { Guest } from '@guestyard/child-partition'

/** Microseconds between two looks at whether it is to end. */
const STEP = 5_000

export async function main(guest: Guest): Promise<void> {
  let used = 0
  let rest: PromiseWithResolvers<void> | null = null
  guest.expose({
    used: () => used,
    rest: () => {
      rest ??= Promise.withResolvers()
    },
    burn: () => {
      rest?.resolve()
      rest = null
    },
  })
  guest.signal.addEventListener('abort', () => rest?.resolve(), { once: true })
  while (!guest.signal.aborted) {
    // Read anew: it is set by a call, while this one waits.
    const resting = rest as PromiseWithResolvers<void> | null
    if (resting !== null) await resting.promise
    else {
      await guest.compute(STEP)
      used += STEP
    }
  }
}
