/** A guest of the architecture tour: computes, counts keys, and writes to a port of an emulated device. */

import type { Guest } from '@guestyard/child-partition'

/** Where firmware says how far it has come: an emulated device of the machine's. */
const POST_PORT = 0x80

export async function main(guest: Guest): Promise<void> {
  let keys = 0
  void (async () => {
    for await (const key of guest.keyboard) keys += key.makeCode > 0 ? 1 : 0
  })()
  guest.expose({
    compute: (microseconds) => guest.compute(Number(microseconds)),
    keys: () => keys,
    post: (code) => guest.devices.portOut(POST_PORT, 1, Number(code)),
  })
  await new Promise<void>((resolve) => {
    guest.signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
