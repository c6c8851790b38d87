// An adapter on a switch and its driver, joined over a bus in one thread. For tests and examples; never loaded by the package itself.

import { parseGuid } from '@guestyard/hvdef'
import type { ClientChannel } from '@guestyard/vmbus/client'
import { createLoopback } from '@guestyard/vmbus/testing'
import type { Loopback, LoopbackOptions } from '@guestyard/vmbus/testing'
import type { VirtualSwitch } from '../switch/index.ts'
import { NetVsc } from '../vsc/index.ts'
import type { NetVscListener, NetVscOptions, ReceivedFrame } from '../vsc/index.ts'
import { NetVsp, networkOffer } from '../vsp/index.ts'
import type { NetVspOptions } from '../vsp/index.ts'

const INSTANCE_ID = parseGuid('f8b3781b-1e82-4818-a1c3-63d806ec15bb')
/** Where the buffers lie: the loopback gives rings pages from the end. */
const RECEIVE_BUFFER = { firstPfn: 1024, pageCount: 128 }
const SEND_BUFFER = { firstPfn: 1536, pageCount: 48 }

export interface OpenAdapterOptions {
  readonly loopback?: LoopbackOptions
  readonly vsp?: Partial<Omit<NetVspOptions, 'switch'>>
  readonly vsc?: Partial<Omit<NetVscOptions, 'memory' | 'client' | 'listener'>>
  /** Default: frames are copied into `frames`. */
  readonly onFrame?: NetVscListener['onFrame']
}

/** A guest that has opened its adapter. */
export interface OpenAdapter {
  readonly loopback: Loopback
  readonly vsp: NetVsp
  readonly vsc: NetVsc
  readonly channel: ClientChannel
  /** Frames that came. */
  readonly frames: Uint8Array[]
  /** What the driver told its listener besides, a line each. */
  readonly events: string[]
}

/** Plugs an adapter of this address into a switch, offers it to a guest, and lets a driver open it. Throws when it does not come up. */
export function openAdapter(
  lan: VirtualSwitch,
  address: string,
  options: OpenAdapterOptions = {},
): OpenAdapter {
  const events: string[] = []
  const frames: Uint8Array[] = []
  const loopback = createLoopback({
    ...options.loopback,
    onClientEvent: (event) => {
      options.loopback?.onClientEvent?.(event)
      const isSub = event.is === 'offer' && event.offer.subChannelIndex > 0
      if (isSub) loopback.client.open(event.offer, vsc, vsc.channels)
    },
  })
  const vsp = new NetVsp({ port: { name: address, address }, ...options.vsp, switch: lan })
  const keep = (frame: ReceivedFrame): void => void frames.push(frame.bytes())
  const vsc = new NetVsc({
    receiveBuffer: RECEIVE_BUFFER,
    sendBuffer: SEND_BUFFER,
    ringBytes: 31 * 4096,
    ...options.vsc,
    listener: {
      onReady: () => events.push('ready'),
      onFrame: options.onFrame ?? keep,
      onLink: (isUp) => events.push(isUp ? 'link up' : 'link down'),
      onNetworkChange: () => events.push('network change'),
      onSpace: () => events.push('space'),
      onFailed: (reason) => events.push(`failed: ${reason}`),
      onClosed: (reason) => events.push(`closed: ${reason}`),
    },
    memory: loopback.memory,
    client: loopback.client,
  })
  loopback.server.offer(networkOffer(INSTANCE_ID), vsp)
  loopback.client.connect()
  loopback.pump()
  const [offer] = loopback.client.offers()
  if (offer === undefined) throw new Error('The adapter is not offered.')
  const channel = loopback.client.open(offer, vsc, vsc.channels)
  loopback.pump()
  if (channel?.state !== 'open') throw new Error('The channel did not open.')
  return { loopback, vsp, vsc, channel, frames, events }
}
