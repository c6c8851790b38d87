// A keyboard and a mouse with their drivers, joined over a bus in one thread. For tests and examples; never
// loaded by the package itself.

import type { Channel, ChannelProgram } from '@guestyard/vmbus'
import type { ClientChannel } from '@guestyard/vmbus/client'
import type { OfferOptions, VspDevice } from '@guestyard/vmbus/server'
import { createLoopback } from '@guestyard/vmbus/testing'
import type { Loopback, LoopbackOptions } from '@guestyard/vmbus/testing'

/** Guest memory when a test does not say. */
const MEMORY_BYTES = 512 * 1024

/** A guest driver as this package writes them. */
export interface InputDriver {
  readonly sendBytes: number
  readonly receiveBytes: number
  bind(channel: Channel): ChannelProgram
}

/** An open channel of one device. */
export interface OpenDevice {
  readonly loopback: Loopback
  readonly channel: ClientChannel
}

/** Offers a device, connects a guest and lets `driver` open it. Throws when it does not come up. */
export function openDevice(
  offer: OfferOptions,
  device: VspDevice,
  driver: InputDriver,
  options: LoopbackOptions = {},
): OpenDevice {
  const loopback = createLoopback({ memoryBytes: MEMORY_BYTES, ...options })
  loopback.server.offer(offer, device)
  loopback.client.connect()
  loopback.pump()
  const found = loopback.client.offers().find((candidate) => candidate.classId === offer.classId)
  if (found === undefined) throw new Error('The device is not offered.')
  const channel = loopback.client.open(found, driver, { opened: (open) => driver.bind(open) })
  loopback.pump()
  if (channel?.state !== 'open') throw new Error('The channel did not open.')
  return { loopback, channel }
}
