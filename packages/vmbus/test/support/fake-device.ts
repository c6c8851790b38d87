// A device that answers when a test says so.

import type { ChannelProgram, CloseResult } from '@guestyard/vmbus'
import type { OfferOptions, OpenOutcome, ServerChannel, VspDevice } from '@guestyard/vmbus/server'

export const CLASS_ID = 'ba6163d9-04a1-4d29-b605-72e2ffb1dc7f'

/** Offer options of the n-th test device. */
export function nth(n: number): OfferOptions {
  const node = n.toString(16).padStart(12, '0')
  return { classId: CLASS_ID, instanceId: `00000000-0000-0000-0000-${node}` }
}

export class FakeProgram implements ChannelProgram {
  readonly channel: ServerChannel
  readonly device: FakeDevice
  /** Units that polls still find. */
  work = 0
  polls = 0
  armed = false
  closed = false

  constructor(channel: ServerChannel, device: FakeDevice) {
    this.channel = channel
    this.device = device
  }

  poll(budget: number): number {
    this.polls += 1
    const done = Math.min(budget, this.work)
    this.work -= done
    return done
  }

  arm(): boolean {
    this.armed = this.work === 0
    return this.work > 0
  }

  disarm(): void {
    this.armed = false
  }

  close(): CloseResult {
    this.closed = true
    return this.device.closesLater ? 'pending' : undefined
  }
}

export class FakeDevice implements VspDevice {
  /** What `open` answers. */
  answer: 'program' | 'pending' | number = 'program'
  /** `close` is ended by `finishClose`. */
  closesLater = false
  /** Each opening, in order. */
  readonly channels: ServerChannel[] = []
  readonly programs: FakeProgram[] = []
  /** Openings whose close has been ended. Kept by whoever ends them. */
  readonly stopped: ServerChannel[] = []

  get channel(): ServerChannel {
    const channel = this.channels.at(-1)
    if (channel === undefined) throw new Error('The device was never opened.')
    return channel
  }

  get program(): FakeProgram {
    const program = this.programs.at(-1)
    if (program === undefined) throw new Error('The device has no program.')
    return program
  }

  open(channel: ServerChannel): OpenOutcome {
    this.channels.push(channel)
    if (this.answer === 'pending') return 'pending'
    if (typeof this.answer === 'number') return { refused: this.answer }
    return this.#program(channel)
  }

  finishOpen(channel: ServerChannel = this.channel): void {
    channel.completeOpen(this.#program(channel))
  }

  finishClose(channel: ServerChannel = this.channel): void {
    channel.completeClose()
  }

  #program(channel: ServerChannel): FakeProgram {
    const program = new FakeProgram(channel, this)
    this.programs.push(program)
    return program
  }
}
