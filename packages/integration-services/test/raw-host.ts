// A service without sense: it lets a test write whatever a host should not, to see what drivers make of it.

import { PACKET_TYPE_DATA_INBAND, PIPE_HEADER_SIZE } from '@guestyard/hvdef'
import { IcFlags, IcHeader } from '@guestyard/integration-services/protocol'
import type { ChannelProgram } from '@guestyard/vmbus'
import type { OpenOutcome, ServerChannel, VspDevice } from '@guestyard/vmbus/server'

/** A driver's answer, behind its pipe header. */
export interface RawAnswer {
  readonly status: number
  readonly flags: number
  readonly tid: string
  readonly body: Uint8Array
}

export class RawHost implements VspDevice {
  #channel: ServerChannel | undefined

  open(channel: ServerChannel): OpenOutcome {
    this.#channel = channel
    const program: ChannelProgram = {
      poll: () => 0,
      arm: () => false,
      disarm: () => {},
      close: () => {},
    }
    return program
  }

  /** Writes one packet as it is; nothing moves before the next pump. False when the ring is full. */
  sendRaw(payload: Uint8Array, type: number = PACKET_TYPE_DATA_INBAND, tid = 7): boolean {
    const channel = this.#open()
    channel.outgoing.staging.set(payload)
    const signal = channel.outgoing.send(0, payload.length, type, 0, tid, 0x1234)
    if (signal === 1) channel.signal()
    return signal >= 0
  }

  /** A request of `type` with `body`. */
  ask(
    type: number,
    body: Uint8Array,
    flags: number = IcFlags.TRANSACTION | IcFlags.REQUEST,
  ): boolean {
    const payload = new Uint8Array(PIPE_HEADER_SIZE + IcHeader.size + body.length)
    const view = new DataView(payload.buffer)
    view.setUint32(0, 1, true)
    view.setUint32(4, payload.length - PIPE_HEADER_SIZE, true)
    IcHeader.encode(view, PIPE_HEADER_SIZE, {
      frameworkMajor: 1,
      frameworkMinor: 0,
      messageType: type,
      messageMajor: 1,
      messageMinor: 0,
      messageSize: body.length,
      status: 0,
      transactionId: 9,
      flags,
    })
    payload.set(body, PIPE_HEADER_SIZE + IcHeader.size)
    return this.sendRaw(payload)
  }

  /** NEGOTIATE with these framework and message versions, as majors and minors. */
  offer(frameworks: readonly [number, number][], versions: readonly [number, number][]): boolean {
    const words = [
      frameworks.length,
      versions.length,
      0,
      0,
      ...frameworks.flat(),
      ...versions.flat(),
    ]
    return this.ask(0, new Uint8Array(Uint16Array.from(words).buffer))
  }

  /** What the driver has answered since the last call. */
  answers(): RawAnswer[] {
    const { incoming } = this.#open()
    const count = incoming.drain(1024)
    const seen: RawAnswer[] = []
    for (let index = 0; index < count; index += 1) {
      const at = incoming.payloadAt(index) + PIPE_HEADER_SIZE
      // The ring pads to 8 bytes: the pipe header has the length.
      const length = incoming.arenaView.getUint32(at - 4, true)
      const bytes = incoming.arena.slice(at, at + length)
      const { status, flags } = IcHeader.decode(new DataView(bytes.buffer))
      const tid = `${incoming.tidLow(index) >>> 0}/${incoming.tidHigh(index) >>> 0}`
      seen.push({ status, flags, tid, body: bytes.slice(IcHeader.size) })
    }
    if (incoming.commit()) this.#open().signal()
    return seen
  }

  #open(): ServerChannel {
    if (this.#channel === undefined) throw new Error('The guest has not opened the service.')
    return this.#channel
  }
}
