// Time synchronisation's guest end: what the host says the time is, and at which reference time it said so.

import {
  IcMessage,
  IcStatus,
  TIME_SYNC_CLASS_ID,
  TIME_SYNC_REFERENCE_VERSION,
  TIME_SYNC_VERSIONS,
  TimeSyncBody,
  TimeSyncFlags,
  TimeSyncReferenceBody,
  UNIX_EPOCH_100NS,
} from '../protocol.ts'
import type { IcVersion } from '../protocol.ts'
import type { IcResponder } from './ic-driver.ts'
import { IcVsc } from './ic-vsc.ts'

/** One time that the host told. */
export interface HostTime {
  /** Milliseconds since 1970-01-01 UTC, to a few tenths of a microsecond. */
  readonly unixMs: number
  /** The guest's reference time then, in 100 ns; null below version 4.0, which says nothing of it: it was just now. */
  readonly referenceTime: number | null
  /** The clock is to be set to it; otherwise it is a sample to steer by. */
  readonly isSync: boolean
}

export class TimeSyncVsc extends IcVsc {
  readonly #onTime: (time: HostTime) => void
  #told = 0

  /** `onTime` is called from `poll` on the guest's thread. */
  constructor(onTime: (time: HostTime) => void) {
    super(TIME_SYNC_CLASS_ID)
    this.#onTime = onTime
  }

  /** Times that the host told. */
  get told(): number {
    return this.#told
  }

  protected override responder(): IcResponder {
    return {
      messageType: IcMessage.TIME_SYNC,
      versions: TIME_SYNC_VERSIONS,
      serve: (body, at, length, version) => this.#serve(body, at, length, version),
    }
  }

  #serve(body: DataView, at: number, length: number, version: IcVersion): number {
    const hasReference = version >= TIME_SYNC_REFERENCE_VERSION
    const layout = hasReference ? TimeSyncReferenceBody : TimeSyncBody
    if (length < layout.size) return IcStatus.INVALID_ARGUMENT
    const parentTime = body.getBigUint64(at + layout.at.parentTime, true)
    const flags = body.getUint8(at + layout.at.flags)
    const referenceAt = at + TimeSyncReferenceBody.at.referenceTime
    this.#told += 1
    this.#onTime({
      unixMs: Number(parentTime - UNIX_EPOCH_100NS) / 10_000,
      referenceTime: hasReference ? Number(body.getBigUint64(referenceAt, true)) : null,
      isSync: (flags & TimeSyncFlags.SYNC) !== 0,
    })
    return IcStatus.OK
  }
}
