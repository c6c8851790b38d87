// What the guest's drivers share: how their channels are opened, and the program that runs on them.

import type { Guid } from '@guestyard/hvdef'
import type { Channel, ChannelProgram } from '@guestyard/vmbus'

import { IC_RING_BYTES, majorOf, minorOf } from '../protocol.ts'
import { IcDriver } from './ic-driver.ts'
import type { IcDriverState, IcResponder } from './ic-driver.ts'

/** Driver of one service of one guest: `bind` it to the channel when that is open. */
export abstract class IcVsc {
  readonly classId: Guid
  /** Data bytes of the rings to open the channel with. */
  readonly sendBytes: number = IC_RING_BYTES
  readonly receiveBytes: number = IC_RING_BYTES
  #driver: IcDriver | null = null

  constructor(classId: Guid) {
    this.classId = classId
  }

  get state(): IcDriverState {
    return this.#driver?.state ?? 'closed'
  }

  /** Version that both ends speak, such as `3.0`; empty while none is agreed on. */
  get version(): string {
    const version = this.#driver?.version ?? 0
    return version === 0 ? '' : `${majorOf(version)}.${minorOf(version)}`
  }

  /** Messages that were skipped because they were short, or no requests. */
  get ignored(): number {
    return this.#driver?.ignored ?? 0
  }

  /** Starts on a channel that has just opened; a former channel is forgotten. */
  bind(channel: Channel): ChannelProgram {
    this.#driver = new IcDriver(channel, this.responder())
    return this.#driver
  }

  /** Who serves the requests of a channel. */
  protected abstract responder(): IcResponder
}
