// HOT (raise)
// The interrupt of one open channel: event flag `relid` of SINT 2, on the VP that its guest named. Made when the channel
// opens and closed with it; its device can raise this and nothing else. Root thread only.

import { HvStatus, VMBUS_SINT } from '@guestyard/hvdef'

import type { VidPartition } from '../vid/index.ts'

/** What all routes of a partition have counted. */
export interface ChannelRouteCounts {
  raised: number
  /** The guest's SynIC would not take it. */
  refused: number
  /** Raised by a route that was closed. */
  stray: number
  /** Flags that had not been taken when their route changed, and went along. */
  moved: number
}

export class ChannelRoute {
  readonly #partition: VidPartition
  readonly #relid: number
  readonly #counts: ChannelRouteCounts
  /** -1 once closed. */
  #vp: number

  constructor(partition: VidPartition, relid: number, vp: number, counts: ChannelRouteCounts) {
    this.#partition = partition
    this.#relid = relid
    this.#vp = vp
    this.#counts = counts
  }

  /** Returns an HvStatus; OPERATION_DENIED once closed. HOT. */
  raise(): HvStatus {
    if (this.#vp < 0) {
      this.#counts.stray++
      return HvStatus.OPERATION_DENIED
    }
    const status = this.#partition.signalEventToVp(this.#vp, VMBUS_SINT, this.#relid)
    if (status === HvStatus.SUCCESS) this.#counts.raised++
    else this.#counts.refused++
    return status
  }

  /**
   * From here on another VP takes the interrupt: MODIFYCHANNEL. One that the old VP has not taken yet goes along, since that VP
   * may be about to go offline; one that it has taken, it handles. INVALID_VP_INDEX, and nothing changed.
   */
  retarget(vp: number): HvStatus {
    if (!this.#partition.hasVp(vp)) return HvStatus.INVALID_VP_INDEX
    const old = this.#vp
    this.#vp = vp
    if (old < 0 || old === vp) return HvStatus.SUCCESS
    const taken = this.#partition.withdrawEvent(old, VMBUS_SINT, this.#relid)
    if (!taken) return HvStatus.SUCCESS
    this.#counts.moved++
    if (this.#signal(vp) || this.#signal(old)) return HvStatus.SUCCESS
    this.#counts.refused++
    return HvStatus.SUCCESS
  }

  /** The channel is closed: nothing is raised any more. */
  close(): void {
    this.#vp = -1
  }

  #signal(vp: number): boolean {
    const status = this.#partition.signalEventToVp(vp, VMBUS_SINT, this.#relid)
    return status === HvStatus.SUCCESS
  }
}
