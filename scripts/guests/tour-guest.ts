/** A guest of the architecture tour: computes, types what it is sent, and says what its processor counted. */

import type { Guest } from '@guestyard/child-partition'

export async function main(guest: Guest): Promise<void> {
  let keys = 0
  void (async () => {
    for await (const key of guest.keyboard) keys += key.makeCode > 0 ? 1 : 0
  })()
  guest.expose({
    compute: (microseconds) => guest.compute(Number(microseconds)),
    keys: () => keys,
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
