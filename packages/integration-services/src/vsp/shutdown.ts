// Shutdown's host end: asks the guest to shut down, restart or hibernate. The answer says that the guest is about to, before it does:
// that it has is told by its power, not by a message.

import type { OfferOptions, OpenOutcome, ServerChannel, VspDevice } from '@guestyard/vmbus/server'
import { PipeMode } from '@guestyard/hvdef'

import {
  IcMessage,
  IcStatus,
  SHUTDOWN_CLASS_ID,
  SHUTDOWN_INSTANCE_ID,
  SHUTDOWN_REASON_PLANNED,
  SHUTDOWN_VERSIONS,
  ShutdownBody,
  ShutdownFlags,
} from '../protocol.ts'
import { IcDevice } from './ic-device.ts'
import type { IcInspection } from './ic-device.ts'

/** What the server is asked to offer for shutdown. */
export const shutdownOffer: OfferOptions = {
  classId: SHUTDOWN_CLASS_ID,
  instanceId: SHUTDOWN_INSTANCE_ID,
  pipeMode: PipeMode.MESSAGE,
}

export interface ShutdownRequest {
  /** Default `shut-down`. */
  readonly action?: 'shut-down' | 'restart' | 'hibernate'
  /** Applications are not asked. Default false. */
  readonly force?: boolean
  /** How long the guest may take, in seconds: a hint. Default 0, which says nothing. */
  readonly timeoutSeconds?: number
}

/**
 * What became of a request. `accepted`: the guest is about to. `refused`: it answered with a failure, such as not to know the action.
 * `gone`: its channel ended without an answer. `unavailable`: nobody to ask, or a request is under way.
 */
export type ShutdownOutcome = 'accepted' | 'refused' | 'gone' | 'unavailable'

export interface ShutdownInspection extends IcInspection {
  readonly asked: number
  readonly accepted: number
}

const ACTION_FLAGS = {
  'shut-down': 0,
  restart: ShutdownFlags.RESTART,
  hibernate: ShutdownFlags.HIBERNATE,
}

interface PendingShutdown {
  readonly request: ShutdownRequest
  readonly done: (outcome: ShutdownOutcome) => void
}

/** Shutdown of one partition. Root thread only. */
export class ShutdownVsp implements VspDevice {
  readonly #device: IcDevice
  #pending: PendingShutdown | null = null
  #isSent = false
  #asked = 0
  #accepted = 0

  constructor() {
    this.#device = new IcDevice({
      name: 'shutdown',
      messageType: IcMessage.SHUTDOWN,
      versions: SHUTDOWN_VERSIONS,
      agreed: () => {},
      compose: (out, at) => this.#compose(out, at),
      sent: () => {
        this.#isSent = true
        this.#asked += 1
      },
      answered: (status) => this.#finish(status === IcStatus.OK ? 'accepted' : 'refused'),
      closed: () => this.#finish('gone'),
    })
  }

  open(channel: ServerChannel): OpenOutcome {
    return this.#device.open(channel)
  }

  /** True when a guest is there that can be asked now. */
  get isAvailable(): boolean {
    return this.#device.isReady && this.#pending === null
  }

  /** Asks the guest. `done` is called once: at once when there is nobody to ask, otherwise from a poll. */
  request(request: ShutdownRequest, done: (outcome: ShutdownOutcome) => void): void {
    if (!this.isAvailable) {
      done('unavailable')
      return
    }
    this.#pending = { request, done }
    this.#isSent = false
    this.#device.wake()
  }

  inspect(): ShutdownInspection {
    return { ...this.#device.inspect(), asked: this.#asked, accepted: this.#accepted }
  }

  #compose(out: DataView, at: number): number {
    if (this.#pending === null || this.#isSent) return 0
    const { action = 'shut-down', force = false, timeoutSeconds = 0 } = this.#pending.request
    ShutdownBody.encode(out, at, {
      reason: SHUTDOWN_REASON_PLANNED,
      timeoutSeconds,
      flags: ACTION_FLAGS[action] | (force ? ShutdownFlags.FORCE : 0),
    })
    return ShutdownBody.size
  }

  #finish(outcome: ShutdownOutcome): void {
    const pending = this.#pending
    this.#pending = null
    if (outcome === 'accepted') this.#accepted += 1
    pending?.done(outcome)
  }
}
