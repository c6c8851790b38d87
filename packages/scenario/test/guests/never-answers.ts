import type { Guest } from '@guestyard/child-partition'

/** Comes back from everything but `spin`. */
export async function main(guest: Guest): Promise<void> {
  guest.expose({
    spin: () => {
      for (;;);
    },
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}
