import type { Guest } from '@guestyard/child-partition'

/** Microseconds of one step. */
const STEP = 250

/** Computes for as long as it is let, and says how long it did. */
export async function main(guest: Guest): Promise<void> {
  let used = 0
  guest.expose({ used: () => used, timed: () => timed(guest) })
  while (!guest.signal.aborted && guest.args !== 'rests') {
    await guest.compute(STEP)
    used += STEP
  }
  await new Promise<void>((resolve) => {
    if (guest.signal.aborted) resolve()
    guest.signal.addEventListener('abort', () => resolve())
  })
}

/** Milliseconds that a millisecond of computing takes here. */
async function timed(guest: Guest): Promise<number> {
  const from = performance.now()
  await guest.compute(1_000)
  return performance.now() - from
}
