// HOT (signalEventToVp)
// A partition as its owner in the root has it: what the VID made, and the calls on it. Root thread only.

import type { GuestMemory, Slat } from '@guestyard/guestmem'
import { ASSERT_LEVEL_TRIGGERED, HvInterruptType, PAGE_SIZE, type HvStatus } from '@guestyard/hvdef'
import type { VpHandles } from '@guestyard/hypervisor'

import type { WinHv } from '../winhv/index.ts'

/** What the machine has of a partition that no call carries. */
export interface PartitionHardware {
  readonly memory: GuestMemory
  readonly slat: Slat
  /** By index. */
  readonly vps: readonly (EventTaker | undefined)[]
  handlesFor(vp: number): VpHandles | undefined
}

/** A VP, for the one thing that no call does: an event flag that it has not taken is taken back. */
interface EventTaker {
  withdrawEvent(sint: number, flag: number): boolean
}

export class VidPartition {
  readonly id: number
  readonly vpCount: number
  readonly memory: GuestMemory
  readonly slat: Slat
  readonly #hardware: PartitionHardware
  readonly #winhv: WinHv

  constructor(id: number, vpCount: number, hardware: PartitionHardware, winhv: WinHv) {
    this.id = id
    this.vpCount = vpCount
    this.memory = hardware.memory
    this.slat = hardware.slat
    this.#hardware = hardware
    this.#winhv = winhv
  }

  /** Bytes of RAM that it has been given. */
  get memoryBytes(): number {
    return this.slat.ramPages * PAGE_SIZE
  }

  /** Event flag `flag` of a VP's SINT. Returns an HvStatus. HOT. */
  signalEventToVp(vp: number, sint: number, flag: number): HvStatus {
    return this.#winhv.signalEventDirect(this.id, vp, sint, flag)
  }

  /** A message for a VP's SINT: `length` bytes (0 to 240). Returns an HvStatus. */
  postMessageToVp(
    vp: number,
    sint: number,
    type: number,
    payload: Uint8Array,
    length: number,
    sender: number,
  ): HvStatus {
    return this.#winhv.postMessageDirect(this.id, vp, sint, type, payload, length, sender)
  }

  /** A vector by edge, for the VP with this index. Returns an HvStatus. */
  requestInterrupt(vp: number, vector: number): HvStatus {
    return this.#winhv.assertVirtualInterrupt(this.id, HvInterruptType.FIXED, 0, vp, vector)
  }

  /** A vector by level: the partition's listener is told when the guest has ended it. Returns an HvStatus. */
  requestLevel(vp: number, vector: number): HvStatus {
    const flags = ASSERT_LEVEL_TRIGGERED
    return this.#winhv.assertVirtualInterrupt(this.id, HvInterruptType.FIXED, flags, vp, vector)
  }

  hasVp(vp: number): boolean {
    return this.#hardware.vps[vp] !== undefined
  }

  /** Takes back an event flag that the VP has not taken yet: true when there was one. */
  withdrawEvent(vp: number, sint: number, flag: number): boolean {
    return this.#hardware.vps[vp]?.withdrawEvent(sint, flag) ?? false
  }

  /** What the thread of a VP is handed. */
  handlesFor(vp: number): VpHandles {
    const handles = this.#hardware.handlesFor(vp)
    if (handles === undefined) throw new Error('a partition has handles for each of its VPs')
    return handles
  }
}
