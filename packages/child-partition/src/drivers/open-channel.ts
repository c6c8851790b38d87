// A channel's life as promises, for programs and drivers that are not on the data path.

import type { RingPairOptions } from '@guestyard/ring'
import type { ChannelProgram } from '@guestyard/vmbus'
import type { ChannelOffer, ClientChannel, CloseReason, VmbusClient } from '@guestyard/vmbus/client'

export interface OpenOptions {
  /** Data bytes of each ring, a multiple of 4096; its control page comes on top. */
  readonly sendBytes: number
  readonly receiveBytes: number
  /** How this end of the rings is made, where the defaults are not good enough. */
  readonly rings?: RingPairOptions
  /** The program that runs from the first poll on; none: `channel.run` gives one later. */
  readonly program?: (channel: ClientChannel) => ChannelProgram
}

/** An open channel and its end. */
export interface OpenedChannel {
  readonly channel: ClientChannel
  /** Resolves when the channel is over, for whatever reason. Its pages are free then. */
  readonly closed: Promise<CloseReason>
}

/** Opens a channel; resolves when the host has, rejects with its reason when it has not. */
export function openChannel(
  bus: VmbusClient,
  offer: ChannelOffer,
  options: OpenOptions,
): Promise<OpenedChannel> {
  const opened = Promise.withResolvers<OpenedChannel>()
  const closed = Promise.withResolvers<CloseReason>()
  const started = bus.open(
    offer,
    {
      sendBytes: options.sendBytes,
      receiveBytes: options.receiveBytes,
      rings: options.rings ?? {},
    },
    {
      opened: (channel) => {
        opened.resolve({ channel, closed: closed.promise })
        return options.program?.(channel)
      },
      failed: (_channel, reason) => {
        opened.reject(new Error(`channel ${offer.relid} did not open: ${describe(reason)}`))
      },
      closed: (_channel, reason) => closed.resolve(reason),
    },
  )
  if (started === undefined) {
    opened.reject(
      new Error(
        `channel ${offer.relid} can't be opened: in use, rescinded, or no pages for its rings`,
      ),
    )
  }
  return opened.promise
}

/** Closes an open channel and waits for its end. */
export async function closeChannel(bus: VmbusClient, opened: OpenedChannel): Promise<void> {
  bus.close(opened.channel)
  await opened.closed
}

function describe(reason: number | string): string {
  return typeof reason === 'number' ? `status 0x${(reason >>> 0).toString(16)}` : reason
}
