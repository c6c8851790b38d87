// Channels of the load device. Its primary channel stays open and idle: it is what more sub-channels are asked for on. Runs and
// streams open a sub-channel each, with rings of the size they want, and close it when they are done.

import { LOAD_CHANNELS_MAX, LOAD_CLASS_ID } from '@guestyard/load-device/protocol'
import { SubChannelRequest } from '@guestyard/load-device/vsc'
import type { ChannelOffer, ClientChannel, VmbusClient } from '@guestyard/vmbus/client'

import type { Offers } from './offers.ts'
import { closeChannel, openChannel, type OpenedChannel } from './open-channel.ts'

/** Sub-channels that one guest may hold at a time. */
const LOAD_SUB_CHANNELS_MAX = 32
/** Sub-channels of one request. */
const REQUEST_MAX: number = LOAD_CHANNELS_MAX - 1
const CONTROL_RING_BYTES = 4096
/** Longer copies into a ring are faster ones: a batch of 32 packets of 4 KiB is composed whole, where the ring is long too. */
const BATCH_AREA_MAX_BYTES = 160 * 1024
const BATCH_AREA_MIN_BYTES = 64 * 1024

/** VP's thread only. */
export class LoadChannels {
  readonly #bus: VmbusClient
  readonly #offers: Offers
  readonly #wake: () => void
  /** Channel ids of sub-channels that somebody was given. */
  readonly #taken: Set<number> = new Set()
  #control: Promise<OpenedChannel> | null = null
  #inUse = 0
  /** Requests for sub-channels are made one after the other. */
  #lastRequest: Promise<void> = Promise.resolve()

  /** `wake`: there is work that no doorbell announces, made outside the engine's poll. */
  constructor(bus: VmbusClient, offers: Offers, wake: () => void) {
    this.#bus = bus
    this.#offers = offers
    this.#wake = wake
  }

  /** Opens the primary channel, once. */
  ready(): Promise<OpenedChannel> {
    this.#control ??= this.#openControl()
    return this.#control
  }

  /** Opens `count` channels with rings of these sizes in data bytes; all or none. */
  async open(count: number, sendBytes: number, receiveBytes: number): Promise<OpenedChannel[]> {
    if (this.#inUse + count > LOAD_SUB_CHANNELS_MAX) {
      throw new Error(
        `channels: ${count} more than the ${this.#inUse} in use exceed the ${LOAD_SUB_CHANNELS_MAX} of a guest`,
      )
    }
    this.#inUse += count
    try {
      return await this.#open(count, sendBytes, receiveBytes)
    } catch (error) {
      this.#inUse -= count
      throw error
    }
  }

  /** Closes channels and waits for their end. Their ids go back to the host with them. */
  async close(opened: readonly OpenedChannel[]): Promise<void> {
    await this.#closeAll(opened)
    this.#inUse -= opened.length
  }

  async #open(count: number, sendBytes: number, receiveBytes: number): Promise<OpenedChannel[]> {
    const offers = await this.#request(count)
    const batchBytes = Math.max(
      BATCH_AREA_MIN_BYTES,
      Math.min(BATCH_AREA_MAX_BYTES, (sendBytes >> 2) & ~7),
    )
    const rings = { outgoing: { batchBytes } }
    const opens = await Promise.allSettled(
      offers.map((offer) => openChannel(this.#bus, offer, { sendBytes, receiveBytes, rings })),
    )
    const failed = opens.find((open) => open.status === 'rejected')
    const opened = opens.flatMap((open) => (open.status === 'fulfilled' ? [open.value] : []))
    if (failed === undefined) return opened
    await this.#closeAll(opened)
    const unused = new Set(offers)
    for (const { channel } of opened) unused.delete(channel.offer)
    for (const offer of unused) this.#taken.delete(offer.relid)
    throw failed.reason
  }

  async #closeAll(opened: readonly OpenedChannel[]): Promise<void> {
    await Promise.all(opened.map((one) => closeChannel(this.#bus, one)))
    for (const { channel } of opened) {
      this.#offers.remove(channel.offer)
      this.#taken.delete(channel.relid)
    }
  }

  async #openControl(): Promise<OpenedChannel> {
    const offer = await this.#offers.first(isPrimary)
    return openChannel(this.#bus, offer, {
      sendBytes: CONTROL_RING_BYTES,
      receiveBytes: CONTROL_RING_BYTES,
    })
  }

  /** Sub-channels that nobody has: left over from a failed open, or asked for. */
  async #request(count: number): Promise<ChannelOffer[]> {
    const control = await this.ready()
    const turn = this.#lastRequest.then(async () => {
      const missing = count - this.#offers.all((offer) => this.#isFree(offer)).length
      for (let asked = 0; asked < missing; asked += REQUEST_MAX) {
        await this.#ask(control.channel, Math.min(missing - asked, REQUEST_MAX))
      }
      const given: ChannelOffer[] = []
      for (let i = 0; i < count; i += 1) {
        const offer = await this.#offers.first((one) => this.#isFree(one))
        this.#taken.add(offer.relid)
        given.push(offer)
      }
      return given
    })
    // A request that failed is its caller's error, not the next caller's.
    this.#lastRequest = turn.then(
      () => undefined,
      () => undefined,
    )
    return turn
  }

  async #ask(control: ClientChannel, count: number): Promise<void> {
    const answered = Promise.withResolvers<void>()
    control.run(
      new SubChannelRequest(control, {
        count,
        onDone: (outcome) => {
          if (!outcome.ok) answered.reject(new Error(`no sub-channels: ${outcome.reason}`))
          else if (outcome.count >= count) answered.resolve()
          else answered.reject(new Error(`${count} sub-channels asked for, ${outcome.count} given`))
        },
      }),
    )
    this.#wake()
    await answered.promise
  }

  #isFree(offer: ChannelOffer): boolean {
    return isSubChannel(offer) && !this.#taken.has(offer.relid)
  }
}

function isPrimary(offer: ChannelOffer): boolean {
  return offer.classId === LOAD_CLASS_ID && offer.subChannelIndex === 0
}

function isSubChannel(offer: ChannelOffer): boolean {
  return offer.classId === LOAD_CLASS_ID && offer.subChannelIndex > 0
}
