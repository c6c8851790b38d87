// A switch whose ports write down what they get.

import { Frame, NO_TAG, VirtualSwitch } from '@guestyard/network'
import type { PortSettings, SwitchOptions, SwitchPort } from '@guestyard/network'

export class Lan {
  readonly clock: { nowMs: number; now: () => number } = { nowMs: 0, now: () => this.clock.nowMs }
  readonly switch: VirtualSwitch
  readonly ports: SwitchPort[] = []
  /** `port: length` or `port: length tag`, in order. */
  readonly got: string[] = []
  readonly frame: Frame = new Frame(70_000)
  /** What ends answer. */
  answer = 0

  constructor(options: Partial<SwitchOptions> = {}) {
    this.switch = new VirtualSwitch({ clock: this.clock, ...options })
  }

  plug(settings: PortSettings = {}): SwitchPort {
    const number = this.ports.length
    const deliver = (frame: Frame, tag: number): number => {
      this.got.push(
        tag === NO_TAG
          ? `${number}: ${frame.lengthBytes}`
          : `${number}: ${frame.lengthBytes} tag ${tag.toString(16)}`,
      )
      return this.answer
    }
    const port = this.switch.connect({ deliver }, { name: `port ${number}`, ...settings })
    this.ports.push(port)
    return port
  }

  /** Sends bytes from a port; what was delivered by it. */
  send(port: number, bytes: Uint8Array, tag = NO_TAG): string[] {
    this.got.length = 0
    this.frame.setBytes(bytes)
    if (tag === NO_TAG) this.frame.takeTag()
    else this.frame.tag = tag
    this.ports[port]!.send(this.frame)
    return [...this.got]
  }

  /** Drops of a port's sends, by name. */
  drops(port: number): Readonly<Record<string, number>> {
    const found = this.switch.inspect().ports.find(({ id }) => id === this.ports[port]!.id)
    return found?.sendDrops ?? {}
  }
}
