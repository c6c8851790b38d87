// Programs for both ends: the host returns each packet, the guest keeps what came back.

import { PACKET_TYPE_DATA_INBAND } from '@guestyard/hvdef'
import { RingStatus } from '@guestyard/ring'
import type { Channel, ChannelProgram } from '@guestyard/vmbus'
import type { ServerChannel, VspDevice } from '@guestyard/vmbus/server'

abstract class Program implements ChannelProgram {
  readonly channel: Channel
  closed = false

  constructor(channel: Channel) {
    this.channel = channel
  }

  poll(budget: number): number {
    const { incoming } = this.channel
    const count = incoming.drain(budget)
    if (count === RingStatus.FAULT) {
      this.failed()
      return 0
    }
    for (let i = 0; i < count; i += 1) this.packet(i)
    if (incoming.commit()) this.channel.signal()
    if (this.channel.outgoing.commit()) this.channel.signal()
    return count
  }

  arm(): boolean {
    return this.channel.incoming.unmask()
  }

  disarm(): void {
    this.channel.incoming.mask()
  }

  close(): void {
    this.closed = true
  }

  /** Packet `i` of the last drain. */
  abstract packet(i: number): void

  failed(): void {}
}

export class EchoProgram extends Program {
  readonly server: ServerChannel

  constructor(channel: ServerChannel) {
    super(channel)
    this.server = channel
  }

  override packet(i: number): void {
    const { incoming, outgoing } = this.channel
    const at = incoming.payloadAt(i)
    const length = incoming.payloadLength(i)
    outgoing.staging.set(incoming.arena.subarray(at, at + length))
    outgoing.write(0, length, PACKET_TYPE_DATA_INBAND, 0, incoming.tidLow(i), incoming.tidHigh(i))
  }

  override failed(): void {
    this.server.fail(this.channel.incoming.fault)
  }
}

export class EchoDevice implements VspDevice {
  readonly programs: EchoProgram[] = []

  open(channel: ServerChannel): ChannelProgram {
    const program = new EchoProgram(channel)
    this.programs.push(program)
    return program
  }
}

/** First byte of each packet that came back. */
export class EchoedProgram extends Program {
  readonly echoed: number[] = []

  override packet(i: number): void {
    const { incoming } = this.channel
    this.echoed.push(incoming.arena[incoming.payloadAt(i)] ?? -1)
  }

  send(first: number): void {
    const { outgoing } = this.channel
    outgoing.staging[0] = first
    if (outgoing.send(0, 8, PACKET_TYPE_DATA_INBAND, 0, first, 0) === 1) this.channel.signal()
  }
}
