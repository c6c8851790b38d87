// What a driver is made of, and whom it tells.

import type { GuestMemory } from '@guestyard/guestmem'
import type { CloseReason, VmbusClient } from '@guestyard/vmbus/client'
import type { ReceivedFrame } from './received-frame.ts'

/** Told about one adapter, from within the client's calls; may call the driver. */
export interface NetVscListener {
  /** Frames may be sent, and come. */
  onReady?(): void
  /** A frame is there, for the time of the call; the object is used again. HOT. */
  onFrame(frame: ReceivedFrame): void
  /** The cable was pulled or plugged in. */
  onLink?(isUp: boolean): void
  /** The host says that there is another network behind the link. */
  onNetworkChange?(): void
  /** Places to send from are free again, after there was none. */
  onSpace?(): void
  onFailed?(reason: string): void
  onClosed?(reason: CloseReason): void
}

export interface NetVscOptions {
  readonly listener: NetVscListener
  readonly memory: GuestMemory
  readonly client: Pick<VmbusClient, 'createGpadl'>
  /** First frame number and pages of the receive buffer: pages that follow each other, the driver's for good. */
  readonly receiveBuffer: BufferPages
  /** Of the send buffer: 3 pages hold 2 sections. */
  readonly sendBuffer: BufferPages
  /** Data bytes of each ring. Default what Linux opens. */
  readonly ringBytes?: number
  /** Sub-channels to ask for. Default none. */
  readonly subChannels?: number
  /** Payload bytes of a frame. Default 1500. */
  readonly mtuBytes?: number
  /** PacketFilter bits. Default directed, all multicast and broadcast. */
  readonly packetFilter?: number
  /** Versions to ask for, in this order. */
  readonly versions?: readonly number[]
}

export interface BufferPages {
  readonly firstPfn: number
  readonly pageCount: number
}
