// The network adapters of a guest: a driver bound to each that is offered. Loaded when the first is offered, since many guests have none.

import type { GuestMemory } from '@guestyard/guestmem'
import { NetVsc, type ReceivedFrame } from '@guestyard/network/vsc'
import type { ChannelOffer, ClientChannel, VmbusClient } from '@guestyard/vmbus/client'

import { EventStream } from '../api/event-stream.ts'
import type { GuestNic } from '../api/nics.ts'
import type { PageAllocator } from '../kernel/page-allocator.ts'
import type { NicRegistry } from './guest-nics.ts'

export interface NicHome {
  readonly bus: VmbusClient
  readonly memory: GuestMemory
  readonly pages: PageAllocator
  readonly wake: () => void
  readonly onProblem: (device: string, reason: string) => void
}

/** Pages of the buffers: 600 frames to receive, 42 to send. */
const RECEIVE_PAGES = 256
const SEND_PAGES = 64
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
    const receive = pages.allocateRun(RECEIVE_PAGES)
    const send = pages.allocateRun(SEND_PAGES)
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
      receiveBuffer: { firstPfn: receive[0]!, pageCount: RECEIVE_PAGES },
      sendBuffer: { firstPfn: send[0]!, pageCount: SEND_PAGES },
      ringBytes: RING_BYTES,
      listener: {
        onReady: () => this.#registry.add(nic),
        onFrame: (frame) => nic.received(frame),
        onFailed: failed,
        onClosed: () => {
          nic.end()
          this.#registry.remove(nic)
          release()
        },
      },
    })
    const nic = new DrivenNic(name, vsc, this.#home.wake)
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

class DrivenNic implements GuestNic {
  readonly name: string
  readonly #vsc: NetVsc
  readonly #wake: () => void
  readonly #frames: EventStream<Uint8Array> = new EventStream()

  constructor(name: string, vsc: NetVsc, wake: () => void) {
    this.name = name
    this.#vsc = vsc
    this.#wake = wake
  }

  get address(): string {
    return [...this.#vsc.address].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
  }

  get isLinkUp(): boolean {
    return this.#vsc.isLinkUp
  }

  get maxFrameBytes(): number {
    return this.#vsc.maxFrameBytes
  }

  get frames(): AsyncIterable<Uint8Array> {
    return this.#frames
  }

  get dropped(): number {
    return this.#frames.dropped
  }

  send(frame: Uint8Array): boolean {
    if (!this.#vsc.isLinkUp || !this.#vsc.send(frame)) return false
    this.#wake()
    return true
  }

  received(frame: ReceivedFrame): void {
    this.#frames.push(frame.bytes())
  }

  end(): void {
    this.#frames.end()
  }
}
