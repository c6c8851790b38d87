import type { Guest } from '@guestyard/child-partition'

/** Stays until it is asked to stop; answers calls meanwhile. */
export async function main(guest: Guest): Promise<void> {
  guest.expose({
    double: (data) => Number(data) * 2,
    compute: (microseconds) => guest.compute(Number(microseconds)),
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}
