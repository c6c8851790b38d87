// Heartbeat's host end: asks every two seconds, and knows by the answers whether anybody is there.

import type { OfferOptions, OpenOutcome, ServerChannel, VspDevice } from '@guestyard/vmbus/server'
import { PipeMode } from '@guestyard/hvdef'

import {
  ApplicationState,
  HEARTBEAT_CLASS_ID,
  HEARTBEAT_INSTANCE_ID,
  HEARTBEAT_INTERVAL_MS,
  HEARTBEAT_VERSIONS,
  HeartbeatBody,
  IcMessage,
  IcStatus,
} from '../protocol.ts'
import { IcDevice } from './ic-device.ts'
import type { IcInspection } from './ic-device.ts'
import { ServiceTimer } from './service-timer.ts'
import type { ServiceTimerOptions } from './service-timer.ts'

/** What the server is asked to offer for heartbeat. */
export const heartbeatOffer: OfferOptions = {
  classId: HEARTBEAT_CLASS_ID,
  instanceId: HEARTBEAT_INSTANCE_ID,
  pipeMode: PipeMode.MESSAGE,
}

/** As Hyper-V names it: no guest has ever answered; the latest request was answered, or may yet be; none was for too long. */
export type HeartbeatStatus = 'no-contact' | 'ok' | 'lost-communication'

/** What a guest says of its applications. */
export type ApplicationHealth = 'unknown' | 'healthy' | 'critical' | 'stopped'

export interface HeartbeatInspection extends IcInspection {
  readonly status: HeartbeatStatus
  readonly applications: ApplicationHealth
  /** Requests answered. */
  readonly answered: number
  /** Answers whose number was not the request's raised by one, or that reported a failure. */
  readonly wrong: number
}

/** A guest that has not answered for so long is lost: five requests. */
export const HEARTBEAT_LOST_MS = 5 * HEARTBEAT_INTERVAL_MS
const SEQUENCE_MASK = 0xffff_ffff

/** Heartbeat of one partition. Root thread only. */
export class HeartbeatVsp implements VspDevice {
  readonly #device: IcDevice
  readonly #timer: ServiceTimer
  /** The low half of the number in the next request; the high half stays 0. */
  #sequence = 0
  #answered = 0
  #wrong = 0
  /** When the latest answer came; -1: none ever did. */
  #heardMs = -1
  #applications: ApplicationHealth = 'unknown'

  constructor(options: ServiceTimerOptions) {
    this.#timer = new ServiceTimer(options, HEARTBEAT_INTERVAL_MS)
    this.#device = new IcDevice({
      name: 'heartbeat',
      messageType: IcMessage.HEARTBEAT,
      versions: HEARTBEAT_VERSIONS,
      agreed: () => this.#timer.start(),
      compose: (out, at) => this.#compose(out, at),
      sent: () => this.#timer.sent(),
      answered: (status, body, at) => this.#heard(status, body, at),
      closed: () => this.#timer.stop(),
    })
  }

  open(channel: ServerChannel): OpenOutcome {
    return this.#device.open(channel)
  }

  /** When `wakeDue` has something to do; Infinity: never. */
  get nextDeadlineMs(): number {
    return this.#timer.dueMs
  }

  /** Sends in the next poll what is due, or as soon as the guest has answered what it was asked before. */
  wakeDue(): void {
    if (this.#timer.come()) this.#device.wake()
  }

  get status(): HeartbeatStatus {
    if (this.#heardMs < 0) return 'no-contact'
    return this.#timer.nowMs - this.#heardMs < HEARTBEAT_LOST_MS ? 'ok' : 'lost-communication'
  }

  inspect(): HeartbeatInspection {
    return {
      ...this.#device.inspect(),
      status: this.status,
      applications: this.#applications,
      answered: this.#answered,
      wrong: this.#wrong,
    }
  }

  #compose(out: DataView, at: number): number {
    if (!this.#timer.isOwed) return 0
    HeartbeatBody.encode(out, at, {
      sequence: BigInt(this.#sequence),
      applicationState: ApplicationState.UNKNOWN,
    })
    return HeartbeatBody.size
  }

  #heard(status: number, body: DataView, at: number): void {
    const { sequence, applicationState } = HeartbeatBody.decode(body, at)
    const expected = (this.#sequence + 1) & SEQUENCE_MASK
    this.#sequence = expected >>> 0
    if (status !== IcStatus.OK || sequence !== BigInt(this.#sequence)) {
      this.#wrong += 1
      return
    }
    this.#answered += 1
    this.#heardMs = this.#timer.nowMs
    this.#applications = healthOf(applicationState)
  }
}

function healthOf(state: number): ApplicationHealth {
  switch (state) {
    case ApplicationState.HEALTHY:
      return 'healthy'
    case ApplicationState.CRITICAL:
      return 'critical'
    case ApplicationState.STOPPED:
      return 'stopped'
    default:
      return 'unknown'
  }
}
