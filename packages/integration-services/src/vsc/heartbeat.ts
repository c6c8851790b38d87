// Heartbeat's guest end: raises the number that it is asked with, and says how the guest's applications are.

import {
  ApplicationState,
  HEARTBEAT_CLASS_ID,
  HEARTBEAT_VERSIONS,
  HeartbeatBody,
  IcMessage,
  IcStatus,
} from '../protocol.ts'
import type { IcResponder } from './ic-driver.ts'
import { IcVsc } from './ic-vsc.ts'

export class HeartbeatVsc extends IcVsc {
  /** What the host is told of the guest's applications: an ApplicationState. */
  applicationState: number = ApplicationState.HEALTHY
  #beats = 0

  constructor() {
    super(HEARTBEAT_CLASS_ID)
  }

  /** Requests served. */
  get beats(): number {
    return this.#beats
  }

  protected override responder(): IcResponder {
    return {
      messageType: IcMessage.HEARTBEAT,
      versions: HEARTBEAT_VERSIONS,
      serve: (body, at, length) => this.#serve(body, at, length),
    }
  }

  #serve(body: DataView, at: number, length: number): number {
    if (length < HeartbeatBody.size) return IcStatus.INVALID_ARGUMENT
    const sequenceAt = at + HeartbeatBody.at.sequence
    body.setBigUint64(sequenceAt, body.getBigUint64(sequenceAt, true) + 1n, true)
    body.setUint32(at + HeartbeatBody.at.applicationState, this.applicationState, true)
    this.#beats += 1
    return IcStatus.OK
  }
}
