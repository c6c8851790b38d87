// The arithmetic of a run's result: what the counters said when the measured stretch began and ended.

import type { LoadStatistics, ChannelLoadResult, ChannelLoadSpec } from '../protocol.ts'
import type { ValuesOf } from '@guestyard/hvdef'

/** Counters of the guest's end at one moment, since the channel's program began. */
export interface LoadCounts {
  readonly sent: number
  readonly received: number
  readonly signals: number
  readonly fullRingWaits: number
  readonly wakes: number
}

/** The root's counters, as STATISTICS brings them. */
export type RootStatistics = ValuesOf<typeof LoadStatistics>

/** What is known when the run is over. */
export interface LoadEnding {
  /** When STATISTICS arrived. */
  readonly finishedNs: number
  readonly sequenceErrors: number
  readonly latencies: number
  readonly totalSent: number
  readonly totalReceived: number
  /** DATA packets the root says it sent. */
  readonly endPackets: number
  readonly root: RootStatistics
}

const NOTHING: LoadCounts = { sent: 0, received: 0, signals: 0, fullRingWaits: 0, wakes: 0 }

export class LoadTally {
  readonly #spec: ChannelLoadSpec
  #beganNs = 0
  #endedNs = 0
  #from = NOTHING
  #to = NOTHING

  constructor(spec: ChannelLoadSpec) {
    this.#spec = spec
  }

  /** The measured stretch begins. */
  begin(nowNs: number, counts: LoadCounts): void {
    this.#beganNs = nowNs
    this.#from = counts
  }

  /** The measured stretch ends. */
  end(nowNs: number, counts: LoadCounts): void {
    this.#endedNs = nowNs
    this.#to = counts
  }

  result(ending: LoadEnding): ChannelLoadResult {
    const { direction, payloadBytes } = this.#spec
    const { root } = ending
    const sent = this.#to.sent - this.#from.sent
    const received = this.#to.received - this.#from.received
    const isSink = direction === 'guest-to-root'
    const packets = isSink ? sent : direction === 'both' ? sent + received : received
    const lostToRoot =
      direction === 'root-to-guest' ? 0 : ending.totalSent - Number(root.totalReceived)
    const lostToGuest = isSink ? 0 : ending.endPackets - ending.totalReceived
    return {
      packets,
      bytes: packets * payloadBytes,
      packetsSent: sent,
      packetsReceived: received,
      bytesSent: sent * payloadBytes,
      bytesReceived: received * payloadBytes,
      // What a sink was sent has arrived only when the root says so.
      elapsedNs: (isSink ? ending.finishedNs : this.#endedNs) - this.#beganNs,
      sequenceErrors: ending.sequenceErrors,
      peerSequenceErrors: Number(root.sequenceErrors),
      packetsMissing: Math.abs(lostToRoot) + Math.abs(lostToGuest),
      signalsSent: this.#to.signals - this.#from.signals,
      signalsReceived: Number(root.signalsSent),
      fullRingWaits: this.#to.fullRingWaits - this.#from.fullRingWaits,
      peerFullRingWaits: Number(root.fullRingWaits),
      wakes: this.#to.wakes - this.#from.wakes,
      peerWakes: Number(root.wakes),
      latencies: ending.latencies,
    }
  }
}
