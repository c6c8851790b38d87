// The integration services: bound when their offers come. Heartbeats are answered, the host's time is kept, an order to shut down is
// handed on.

import { VmbusClasses } from '@guestyard/hvdef'
import { HeartbeatVsc, ShutdownVsc, TimeSyncVsc } from '@guestyard/integration-services/vsc'
import type { HostTime, IcVsc } from '@guestyard/integration-services/vsc'
import type { ChannelOffer, ClientChannel, VmbusClient } from '@guestyard/vmbus/client'

/** What the drivers need of their guest. */
export interface IntegrationGuest {
  /** Reference time now, in 100 ns. */
  readonly referenceTime: () => number
  /** The host orders the guest to shut down. From a poll; the host has been told that the guest will. */
  readonly onShutdown: () => void
  readonly onProblem: (device: string, reason: string) => void
}

/** What `inspect` shows of them. */
export interface IntegrationInspection {
  /** Heartbeats answered. */
  readonly heartbeats: number
  /** Times that the host told. */
  readonly timesTold: number
}

const UNITS_PER_MS = 10_000

/** VP's thread only. */
export class IntegrationDrivers {
  readonly #bus: VmbusClient
  readonly #guest: IntegrationGuest
  readonly #heartbeat: HeartbeatVsc = new HeartbeatVsc()
  readonly #shutdown: ShutdownVsc
  readonly #timeSync: TimeSyncVsc
  #unixMs = Number.NaN
  /** The reference time at which it was that. */
  #at100ns = 0

  constructor(bus: VmbusClient, guest: IntegrationGuest) {
    this.#bus = bus
    this.#guest = guest
    this.#shutdown = new ShutdownVsc({
      // A script guest has no firmware to start it again, and no disk to sleep on.
      canDo: ({ action }) => action === 'shut-down',
      onOrder: () => guest.onShutdown(),
    })
    this.#timeSync = new TimeSyncVsc((time) => this.#told(time))
  }

  /** Binds a driver to the offer if it is one of ours. */
  offered(offer: ChannelOffer): void {
    if (offer.classId === VmbusClasses.heartbeat.interfaceId) this.#bind(offer, this.#heartbeat)
    if (offer.classId === VmbusClasses.shutdown.interfaceId) this.#bind(offer, this.#shutdown)
    if (offer.classId === VmbusClasses.timeSync.interfaceId) this.#bind(offer, this.#timeSync)
  }

  /** Milliseconds since 1970-01-01 UTC as the host counts them, with fractions; null while it has told no time. */
  get hostTimeMs(): number | null {
    if (Number.isNaN(this.#unixMs)) return null
    return this.#unixMs + (this.#guest.referenceTime() - this.#at100ns) / UNITS_PER_MS
  }

  inspect(): IntegrationInspection {
    return { heartbeats: this.#heartbeat.beats, timesTold: this.#timeSync.told }
  }

  #told({ unixMs, referenceTime }: HostTime): void {
    this.#unixMs = unixMs
    this.#at100ns = referenceTime ?? this.#guest.referenceTime()
  }

  #bind(offer: ChannelOffer, driver: IcVsc): void {
    this.#bus.open(
      offer,
      { sendBytes: driver.sendBytes, receiveBytes: driver.receiveBytes },
      {
        opened: (channel: ClientChannel) => driver.bind(channel),
        failed: (_channel, reason) =>
          this.#guest.onProblem(offer.classId, `open failed: ${reason}`),
      },
    )
  }
}
