// A service with its driver, joined over a bus in one thread with a clock that tests move. For tests and examples; never loaded by the
// package itself.

import type { Channel, ChannelProgram } from '@guestyard/vmbus'
import type { ClientChannel } from '@guestyard/vmbus/client'
import type { OfferOptions, VspDevice } from '@guestyard/vmbus/server'
import { createLoopback } from '@guestyard/vmbus/testing'
import type { Loopback, LoopbackOptions } from '@guestyard/vmbus/testing'

/** Guest memory when a test does not say. */
const MEMORY_BYTES = 512 * 1024

/** A guest driver as this package writes them. */
export interface ServiceDriver {
  readonly sendBytes: number
  readonly receiveBytes: number
  bind(channel: Channel): ChannelProgram
}

/** A host's end with deadlines. */
export interface TimedService {
  readonly nextDeadlineMs: number
  wakeDue(): void
}

/** An open channel of one service. */
export interface OpenService {
  readonly loopback: Loopback
  readonly channel: ClientChannel
}

/** A clock that stands until it is moved. */
export class TestClock {
  nowMs = 0

  /** Moves it to each deadline of `service` up to `ms` from now, and lets the bus come to rest at each. */
  advance(ms: number, service: TimedService, loopback: Loopback): void {
    const endMs = this.nowMs + ms
    while (service.nextDeadlineMs <= endMs) {
      this.nowMs = Math.max(this.nowMs, service.nextDeadlineMs)
      service.wakeDue()
      loopback.pump()
    }
    this.nowMs = endMs
  }
}

/** Offers a service, connects a guest and lets `driver` open it. Throws when it does not come up. */
export function openService(
  offer: OfferOptions,
  device: VspDevice,
  driver: ServiceDriver,
  options: LoopbackOptions = {},
): OpenService {
  const loopback = createLoopback({ memoryBytes: MEMORY_BYTES, ...options })
  loopback.server.offer(offer, device)
  loopback.client.connect()
  loopback.pump()
  const found = loopback.client.offers().find((candidate) => candidate.classId === offer.classId)
  if (found === undefined) throw new Error('The service is not offered.')
  const channel = loopback.client.open(found, driver, { opened: (open) => driver.bind(open) })
  loopback.pump()
  if (channel?.state !== 'open') throw new Error('The channel did not open.')
  return { loopback, channel }
}
