// The overlay pages of one VP, and its view of those of its partition.

import { SlatReader } from '@guestyard/guestmem'
import type { GuestMemory } from '@guestyard/guestmem'

import { OverlayClaims } from './claims.ts'
import { OverlayPage } from './overlay-page.ts'
import { PartitionOverlays } from './partition-overlays.ts'

/** Their numbers, to `SlatReader.setOverlay`. */
const [SIM, SIEF, ASSIST] = [0, 1, 2]

/** VP's thread only. */
export class VpOverlays {
  readonly sim: OverlayPage
  readonly sief: OverlayPage
  readonly assist: OverlayPage
  readonly partition: PartitionOverlays
  readonly #claims: OverlayClaims
  #seen: number

  constructor(page: Int32Array, vp: number, memory: GuestMemory, slatBuffer: SharedArrayBuffer) {
    const claims = new OverlayClaims(page)
    const slat = new SlatReader(slatBuffer)
    this.#claims = claims
    this.#seen = claims.generation
    this.sim = new OverlayPage({ memory, claims, slat, vp, index: SIM })
    this.sief = new OverlayPage({ memory, claims, slat, vp, index: SIEF })
    this.assist = new OverlayPage({ memory, claims, slat, vp, index: ASSIST })
    this.partition = new PartitionOverlays(page, memory, claims, slat)
  }

  /** True when an overlay of this VP waits for a page that another one covers. */
  get isWaiting(): boolean {
    return !(this.sim.isSettled && this.sief.isSettled && this.assist.isSettled)
  }

  /** True once after an overlay of any VP has left its page. */
  takeChange(): boolean {
    const generation = this.#claims.generation
    if (generation === this.#seen) return false
    this.#seen = generation
    return true
  }

  /** Shows what waits and can be shown now. */
  settle(): void {
    this.sim.settle()
    this.sief.settle()
    this.assist.settle()
  }
}
