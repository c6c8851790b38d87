// The network adapters of a guest: a driver bound to each that is offered. Loaded when the first is offered, since many guests have none.

import type { GuestMemory } from '@guestyard/guestmem'
import { NetVsc } from '@guestyard/network/vsc'
import type { ChannelOffer, ClientChannel, VmbusClient } from '@guestyard/vmbus/client'

import type { PageAllocator } from '../kernel/page-allocator.ts'
import { DrivenNic } from './driven-nic.ts'
import type { NicRegistry } from './guest-nics.ts'

export interface NicHome {
  readonly bus: VmbusClient
  readonly memory: GuestMemory
  readonly pages: PageAllocator
  readonly wake: () => void
  readonly onProblem: (device: string, reason: string) => void
}

/** Pages of the buffers: a sixteenth of RAM to receive, within bounds; a quarter of that to send. 256 hold 600 frames. */
const RECEIVE_PAGES_MIN = 256
const RECEIVE_PAGES_MAX = 2048
const RECEIVE_SHARE = 16
const SEND_SHARE = 2
/** Data bytes of each ring. */
const RING_BYTES = 31 * 4096

export class NetAdapters {
  readonly #home: NicHome
  readonly #registry: NicRegistry
  #count = 0

  constructor(home: NicHome, registry: NicRegistry) {
    this.#home = home
    this.#registry = registry
  }

  /** An adapter is offered. */
  bind(offer: ChannelOffer): void {
    const { bus, memory, pages, onProblem } = this.#home
    const name = `eth${this.#count}`
    this.#count += 1
    const share = (memory.pageCount / RECEIVE_SHARE) & -SEND_SHARE
    const receivePages = Math.max(RECEIVE_PAGES_MIN, Math.min(RECEIVE_PAGES_MAX, share))
    const sendPages = receivePages / SEND_SHARE
    const receive = pages.allocateRun(receivePages)
    const send = pages.allocateRun(sendPages)
    const release = (): void => {
      if (receive !== undefined) pages.free(receive)
      if (send !== undefined) pages.free(send)
    }
    if (receive === undefined || send === undefined) {
      release()
      onProblem(name, 'no free pages for its buffers')
      return
    }
    const own: { channel: ClientChannel | undefined } = { channel: undefined }
    const failed = (reason: string): void => {
      onProblem(name, reason)
      // Its pages are free again once the host has let go of them.
      if (own.channel !== undefined) bus.close(own.channel)
    }
    const vsc: NetVsc = new NetVsc({
      memory,
      client: bus,
      receiveBuffer: { firstPfn: receive[0]!, pageCount: receivePages },
      sendBuffer: { firstPfn: send[0]!, pageCount: sendPages },
      ringBytes: RING_BYTES,
      listener: {
        onReady: () => this.#registry.add(nic),
        onFrame: (frame) => nic.received(frame),
        onSpace: () => nic.space(),
        onFailed: failed,
        onClosed: () => {
          nic.end()
          this.#registry.remove(nic)
          release()
        },
      },
    })
    const nic = new DrivenNic(name, vsc, memory, this.#home.wake)
    const { sendBytes, receiveBytes, channels } = vsc
    own.channel = bus.open(
      offer,
      { sendBytes, receiveBytes },
      {
        ...channels,
        failed: (_channel, reason) => {
          release()
          failed(`open failed: ${reason}`)
        },
      },
    )
    if (own.channel !== undefined) return
    release()
    failed('it could not be opened')
  }
}
