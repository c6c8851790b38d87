// HOT (settle)
// The assist page of a VP and the one thing that it assists in (TLFS, "Virtual Processor Assist Page"): when the interrupt in
// service is the only one and edge-triggered, the hypervisor sets "no EOI required", and the guest clears that bit instead of
// writing EOI. Private to the VP's thread; the bit is shared with the guest's code.

import type { GuestMemory } from '@guestyard/guestmem'
import {
  APIC_ASSIST_NO_EOI_REQUIRED,
  MSR_PAGE_ENABLE,
  VP_ASSIST_APIC_ASSIST,
  msrPageNumber,
} from '@guestyard/hvdef'

import { NOWHERE, isOverlayPlace } from './overlays/overlay-page.ts'
import type { OverlayPage } from './overlays/overlay-page.ts'
import type { MsrValue } from './msr-value.ts'

const ASSIST_WORD: number = VP_ASSIST_APIC_ASSIST / 4
/** Between the enable bit and the page number. */
const RESERVED = 0xffe

export class VpAssist {
  /** EOIs that the guest made without an exit. */
  ended = 0
  readonly #memory: GuestMemory
  readonly #overlay: OverlayPage
  readonly #register: MsrValue = { low: 0, high: 0 }
  /** The bit is set, as far as this side knows. */
  #offered = false

  constructor(memory: GuestMemory, overlay: OverlayPage) {
    this.#memory = memory
    this.#overlay = overlay
  }

  read(out: MsrValue): void {
    out.low = this.#register.low
    out.high = this.#register.high
  }

  /** False (#GP) for bits other than enable and page, and for an enabled page that is not RAM. */
  write(low: number, high: number): boolean {
    if ((low & RESERVED) !== 0) return false
    const page = msrPageNumber(low, high)
    const enabled = (low & MSR_PAGE_ENABLE) !== 0
    if (enabled && !isOverlayPlace(this.#memory, page)) return false
    this.#overlay.moveTo(enabled ? page : NOWHERE)
    this.#register.low = low >>> 0
    this.#register.high = high >>> 0
    return true
  }

  /** An offer stands: the guest may end its interrupt at any moment. */
  get isOffered(): boolean {
    return this.#offered
  }

  get isOn(): boolean {
    return (this.#register.low & MSR_PAGE_ENABLE) !== 0
  }

  /** The interrupt that was just taken needs no EOI, if the guest clears the bit. */
  offer(): void {
    Atomics.or(this.#overlay.words, this.#overlay.at + ASSIST_WORD, APIC_ASSIST_NO_EOI_REQUIRED)
    this.#offered = true
  }

  /** True when the guest has cleared the bit since it was offered: an EOI, which the caller carries out. */
  takeEnd(): boolean {
    if (!this.#offered) return false
    const { words, at } = this.#overlay
    if ((Atomics.load(words, at + ASSIST_WORD) & APIC_ASSIST_NO_EOI_REQUIRED) !== 0) return false
    this.#offered = false
    this.ended++
    return true
  }

  /**
   * Something waits behind the interrupt in service: the guest must write EOI after all. True when it has cleared the bit before
   * that, which is an EOI.
   */
  withdraw(): boolean {
    if (!this.#offered) return false
    this.#offered = false
    const { words, at } = this.#overlay
    // ORDER: one step, so that the guest's clearing comes before it (an EOI) or after it (no effect, and it sees no bit).
    const was = Atomics.and(words, at + ASSIST_WORD, ~APIC_ASSIST_NO_EOI_REQUIRED)
    if ((was & APIC_ASSIST_NO_EOI_REQUIRED) !== 0) return false
    this.ended++
    return true
  }
}
