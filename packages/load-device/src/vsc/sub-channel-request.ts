// Asks the host for sub-channels of an open primary. Their offers come over the bus; each is then opened like any
// channel and runs programs of its own.

import type { Channel } from '@guestyard/vmbus'
import {
  LOAD_KIND_SUB_CHANNEL_RESPONSE,
  LoadStatus,
  LoadSubChannelResponse,
  loadStatusName,
} from '../protocol.ts'
import { LoadEnd } from './load-end.ts'
import { subChannelRequest } from './requests.ts'

export type SubChannelOutcome =
  | {
      readonly ok: true
      /** Sub-channels the host now offers because of this request. */ readonly count: number
    }
  | { readonly ok: false; readonly reason: string }

export interface SubChannelRequestOptions {
  /** Sub-channels wanted, 1..LOAD_CHANNELS_MAX - 1. */
  readonly count: number
  /** Called once; the channel may then run something else. */
  onDone(outcome: SubChannelOutcome): void
}

export class SubChannelRequest extends LoadEnd {
  readonly #options: SubChannelRequestOptions

  constructor(channel: Channel, options: SubChannelRequestOptions) {
    super(channel)
    this.#options = options
    this.requests.owe(subChannelRequest(options.count))
    this.payNow()
  }

  protected get holdsPackets(): boolean {
    return false
  }

  protected onAccepted(): void {
    this.fail('the host answered a setup that nobody sent')
  }

  protected onData(first: number): number {
    return first
  }

  protected onControl(kind: number, view: DataView, at: number, length: number): boolean {
    if (kind !== LOAD_KIND_SUB_CHANNEL_RESPONSE) return false
    if (length < LoadSubChannelResponse.size) return false
    const { status, count } = LoadSubChannelResponse.decode(view, at)
    if (status !== LoadStatus.ACCEPTED) {
      this.fail(`the host refused: ${loadStatusName(status)}`)
    } else {
      this.finish(() => this.#options.onDone({ ok: true, count }))
    }
    return true
  }

  protected send(): number {
    return 0
  }

  protected armSend(): boolean {
    return false
  }

  protected tellFailed(reason: string): void {
    this.#options.onDone({ ok: false, reason })
  }
}
