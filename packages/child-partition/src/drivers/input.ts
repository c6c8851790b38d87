// Keyboard and mouse: bound when their offers come, read by programs as streams of events.

import { KeyboardVsc, MouseVsc } from '@guestyard/input/vsc'
import type { ChannelOffer, ClientChannel, VmbusClient } from '@guestyard/vmbus/client'
import { VmbusClasses } from '@guestyard/hvdef'

import { EventStream } from '../api/event-stream.ts'
import type { KeyEvent, PointerEvent } from '../api/guest.ts'

/** VP's thread only. */
export class InputDrivers {
  readonly keys: EventStream<KeyEvent> = new EventStream()
  readonly pointer: EventStream<PointerEvent> = new EventStream()
  readonly #bus: VmbusClient
  readonly #onProblem: (device: string, reason: string) => void
  readonly #keyboard: KeyboardVsc
  readonly #mouse: MouseVsc

  constructor(bus: VmbusClient, onProblem: (device: string, reason: string) => void) {
    this.#bus = bus
    this.#onProblem = onProblem
    this.#keyboard = new KeyboardVsc({
      onKey: (makeCode, flags) => this.keys.push({ makeCode, flags }),
      onFailed: (reason) => onProblem('keyboard', reason),
    })
    this.#mouse = new MouseVsc({
      onMove: (x, y, buttons, wheel) => this.pointer.push({ x, y, buttons, wheel }),
      onFailed: (reason) => onProblem('mouse', reason),
    })
  }

  /** Binds a driver to the offer if it is one of ours. */
  offered(offer: ChannelOffer): void {
    if (offer.classId === VmbusClasses.keyboard.interfaceId) this.#bind(offer, this.#keyboard)
    if (offer.classId === VmbusClasses.mouse.interfaceId) this.#bind(offer, this.#mouse)
  }

  /** The bus is gone. */
  end(): void {
    this.keys.end()
    this.pointer.end()
  }

  #bind(offer: ChannelOffer, driver: KeyboardVsc | MouseVsc): void {
    this.#bus.open(
      offer,
      { sendBytes: driver.sendBytes, receiveBytes: driver.receiveBytes },
      {
        opened: (channel: ClientChannel) => driver.bind(channel),
        failed: (_channel, reason) => this.#onProblem(offer.classId, `open failed: ${reason}`),
      },
    )
  }
}
