// Time synchronisation's host end: tells the guest the time when its channel is up, and a sample of it every five seconds,
// or with the heartbeat that follows.

import type { OfferOptions, OpenOutcome, ServerChannel, VspDevice } from '@guestyard/vmbus/server'
import { PipeMode } from '@guestyard/hvdef'

import {
  HEARTBEAT_INTERVAL_MS,
  IcMessage,
  IcStatus,
  TIME_SAMPLE_INTERVAL_MS,
  TIME_SYNC_CLASS_ID,
  TIME_SYNC_INSTANCE_ID,
  TIME_SYNC_REFERENCE_VERSION,
  TIME_SYNC_VERSIONS,
  TimeSyncBody,
  TimeSyncFlags,
  TimeSyncReferenceBody,
  UNIX_EPOCH_100NS,
} from '../protocol.ts'
import type { IcVersion } from '../protocol.ts'
import { IcDevice } from './ic-device.ts'
import type { IcInspection } from './ic-device.ts'
import { ServiceTimer } from './service-timer.ts'
import type { ServiceTimerOptions } from './service-timer.ts'

/** What the server is asked to offer for time synchronisation. */
export const timeSyncOffer: OfferOptions = {
  classId: TIME_SYNC_CLASS_ID,
  instanceId: TIME_SYNC_INSTANCE_ID,
  pipeMode: PipeMode.MESSAGE,
}

export interface TimeSyncOptions extends ServiceTimerOptions {
  /** Milliseconds since 1970-01-01 UTC, with fractions: the time that the guest is to have. */
  readonly unixMs: () => number
  /** The guest's reference time at the same moment, in 100 ns. */
  readonly referenceTime: () => number
}

export interface TimeSyncInspection extends IcInspection {
  /** Times told to set the clock by, and samples. */
  readonly syncs: number
  readonly samples: number
  /** Of both, how many the guest did not take. */
  readonly refused: number
}

const UNITS_PER_MS = 10_000

/** Time synchronisation of one partition. Root thread only. */
export class TimeSyncVsp implements VspDevice {
  readonly #options: TimeSyncOptions
  readonly #device: IcDevice
  readonly #timer: ServiceTimer
  /** The next one is to set the clock by. */
  #isSync = true
  #syncs = 0
  #samples = 0
  #refused = 0

  constructor(options: TimeSyncOptions) {
    this.#options = options
    this.#timer = new ServiceTimer(options, TIME_SAMPLE_INTERVAL_MS, HEARTBEAT_INTERVAL_MS)
    this.#device = new IcDevice({
      name: 'time synchronisation',
      messageType: IcMessage.TIME_SYNC,
      versions: TIME_SYNC_VERSIONS,
      agreed: () => {
        this.#isSync = true
        this.#timer.start()
      },
      compose: (out, at, version) => this.#compose(out, at, version),
      sent: () => this.#sent(),
      answered: (status) => {
        if (status !== IcStatus.OK) this.#refused += 1
      },
      closed: () => this.#timer.stop(),
    })
  }

  open(channel: ServerChannel): OpenOutcome {
    return this.#device.open(channel)
  }

  /** The guest's clock is wrong, since it was saved or stood still: the next time told is to set it by, and due now. */
  resync(): void {
    this.#isSync = true
    if (!this.#device.isAgreed) return
    this.#timer.start()
    this.#device.wake()
  }

  /** When `wakeDue` has something to do; Infinity: never. */
  get nextDeadlineMs(): number {
    return this.#timer.dueMs
  }

  /** Sends in the next poll what is due, or as soon as the guest has answered what it was asked before. */
  wakeDue(): void {
    if (this.#timer.come()) this.#device.wake()
  }

  inspect(): TimeSyncInspection {
    return {
      ...this.#device.inspect(),
      syncs: this.#syncs,
      samples: this.#samples,
      refused: this.#refused,
    }
  }

  #compose(out: DataView, at: number, version: IcVersion): number {
    if (!this.#timer.isOwed) return 0
    const parentTime = UNIX_EPOCH_100NS + BigInt(Math.round(this.#options.unixMs() * UNITS_PER_MS))
    const flags = this.#isSync ? TimeSyncFlags.SYNC : TimeSyncFlags.SAMPLE
    if (version < TIME_SYNC_REFERENCE_VERSION) {
      TimeSyncBody.encode(out, at, { parentTime, childTime: 0n, roundTripTime: 0n, flags })
      return TimeSyncBody.size
    }
    const referenceTime = BigInt(Math.floor(this.#options.referenceTime()))
    TimeSyncReferenceBody.encode(out, at, {
      parentTime,
      referenceTime,
      flags,
      leapFlags: 0,
      stratum: 0,
    })
    return TimeSyncReferenceBody.size
  }

  #sent(): void {
    if (this.#isSync) this.#syncs += 1
    else this.#samples += 1
    this.#isSync = false
    this.#timer.sent()
  }
}
