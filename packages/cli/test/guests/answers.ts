import type { Guest } from '@guestyard/child-partition'

export async function main(guest: Guest): Promise<void> {
  guest.expose({ name: () => guest.name })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}
