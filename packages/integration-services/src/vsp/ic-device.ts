// What the host's ends of all services share: one opening at a time, and its program.

import type { OpenOutcome, ServerChannel } from '@guestyard/vmbus/server'

import { majorOf, minorOf } from '../protocol.ts'
import { IcProgram } from './ic-program.ts'
import type { IcService, IcStateName } from './ic-program.ts'

/** HRESULT of an opening that is refused. */
const OPEN_REFUSED = 0x8000_4005

/** Plain data about a service's channel. */
export interface IcInspection {
  readonly state: IcStateName | 'closed'
  /** Version that both ends speak, such as `3.2`; empty while none is agreed on. */
  readonly version: string
  /** Answers that nobody waited for, since the channel was opened. */
  readonly ignored: number
}

/** One service's end of its channel, open or not. Root thread only. */
export class IcDevice {
  readonly #service: IcService
  #program: IcProgram | null = null

  constructor(service: IcService) {
    this.#service = service
  }

  /** For the server. One opening at a time; a sub-channel is refused. */
  open(channel: ServerChannel): OpenOutcome {
    if (this.#program !== null || channel.subChannelIndex !== 0) return { refused: OPEN_REFUSED }
    this.#program = new IcProgram(channel, this.#service, () => {
      this.#program = null
    })
    return this.#program
  }

  /** True when a request can be sent at once. */
  get isReady(): boolean {
    return this.#program?.state === 'ready'
  }

  /** True when a request may be sent, now or after the present one is answered. */
  get isAgreed(): boolean {
    return this.isReady || this.#program?.state === 'awaiting-answer'
  }

  /** There may be a request to send: it is looked for in the next poll. */
  wake(): void {
    this.#program?.wake()
  }

  inspect(): IcInspection {
    const program = this.#program
    const version = program?.version ?? 0
    return {
      state: program?.state ?? 'closed',
      version: version === 0 ? '' : `${majorOf(version)}.${minorOf(version)}`,
      ignored: program?.ignored ?? 0,
    }
  }
}
