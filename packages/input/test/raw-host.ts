// A device without sense: it lets a test write whatever a host should not, to see what drivers make of it.

import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import type { ChannelProgram } from '@guestyard/vmbus'
import type { OpenOutcome, ServerChannel, VspDevice } from '@guestyard/vmbus/server'

export class RawHost implements VspDevice {
  #channel: ServerChannel | undefined

  open(channel: ServerChannel): OpenOutcome {
    this.#channel = channel
    const program: ChannelProgram = {
      poll: () => 0,
      arm: () => false,
      disarm: () => {},
      close: () => {},
    }
    return program
  }

  /** Writes one packet to the guest; nothing moves before the next pump. */
  send(payload: Uint8Array, type: number = PACKET_TYPE_DATA_INBAND, flags = 0): void {
    const channel = this.#channel
    if (channel === undefined) throw new Error('The guest has not opened the device.')
    channel.outgoing.staging.set(payload)
    const signal = channel.outgoing.send(0, payload.length, type, flags, 0, 0)
    if (signal === 1) channel.signal()
  }
}
