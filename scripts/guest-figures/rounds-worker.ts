/** A guest program: channels opened and closed as fast as one guest can, on the guest's own thread. */

import { once } from 'node:events'
import type { Guest } from '@guestyard/child-partition'
import type { LoadSpec } from '@guestyard/load-device/protocol'

/** The least a channel is opened for: one packet, there and back. */
const ONE_PACKET: LoadSpec = {
  direction: 'echo',
  payloadBytes: 8,
  batch: 1,
  loop: { kind: 'closed', window: 1 },
  warmUp: { kind: 'packets', packets: 0 },
  measure: { kind: 'packets', packets: 1 },
  channels: 1,
  sendRingBytes: 8192,
  receiveRingBytes: 8192,
  waiting: 'event-loop',
  spinMicroseconds: 20,
}

export async function main(guest: Guest): Promise<void> {
  guest.expose({
    /** Milliseconds of so many rounds: asked for, offered, opened, one packet, closed, given back. */
    rounds: async (data) => {
      const count = data as number
      const started = performance.now()
      for (let round = 0; round < count; round += 1) await guest.runLoad(ONE_PACKET)
      return performance.now() - started
    },
  })
  await once(guest.signal, 'abort')
}
