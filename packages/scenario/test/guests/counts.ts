import type { Guest } from '@guestyard/child-partition'

import { next } from './shared-count.ts'

let own = 0

/** Says how often its modules were asked: by itself, if they are its own. */
export async function main(guest: Guest): Promise<void> {
  guest.expose({ count: () => [(own += 1), next()] })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve())
  })
}
