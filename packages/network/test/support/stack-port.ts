// A host with a stack, plugged into a switch: what a guest is to an uplink.

import { IpStack, parseCidr, parseIpv4 } from '@guestyard/tcpip'
import { randomOf } from '@guestyard/tcpip/testing'
import type { Frame } from '@guestyard/network'

import { UplinkQueue, wholeFrame } from '../../src/uplinks/uplink.ts'
import type { Lan } from './lan.ts'

export class StackPort {
  readonly stack: IpStack
  readonly #queue = new UplinkQueue()
  readonly #lan: Lan

  constructor(lan: Lan, cidr: string, gateway: string, last: number) {
    this.#lan = lan
    const bytes = new Uint8Array(2_000)
    const mac = Uint8Array.of(2, 0, 0, 0, 0, last)
    const link = {
      address: mac,
      mtu: 1_500,
      transmit: (frame: Uint8Array, length: number) => this.#queue.push(frame.subarray(0, length)),
    }
    const secret = new Uint8Array(8)
    this.stack = new IpStack({ link, clock: () => lan.clock.nowMs, random: randomOf(last), secret })
    const end = {
      deliver: (frame: Frame, tag: number) => {
        const whole = wholeFrame(frame, tag, bytes)
        if (whole !== null) this.stack.receive(whole)
        return 0
      },
    }
    const address = [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':')
    this.#queue.attach(lan.switch.connect(end, { address, name: cidr }), () => {})
    const own = parseCidr(cidr)!
    this.stack.configure(own.address, own.prefixBits, parseIpv4(gateway)!)
  }

  poll(): void {
    this.stack.poll()
    this.#queue.poll(this.#lan.clock.nowMs)
  }

  nextDeadlineMs(): number {
    return Math.min(this.stack.nextDeadlineMs(), this.#queue.nextDeadlineMs())
  }
}
