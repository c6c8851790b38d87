import type { Guest } from '@guestyard/child-partition'

/** Tells the host's time, and shuts down only when it is told that it may. */
export async function main(guest: Guest): Promise<void> {
  const mayEnd = Promise.withResolvers<void>()
  guest.expose({ hostTimeMs: () => guest.hostTimeMs(), end: () => mayEnd.resolve() })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
  await mayEnd.promise
}
