// HOT
// The synthetic interrupt controller of one VP: its registers, and the way from the VP's inbox into the SIM and SIEF
// pages. Private to the VP's thread; only this object writes those pages (TLFS, "Synthetic Interrupt Controller").
//
// A write to any of its registers first takes what is in the inbox under the old setting: what the root queued before the
// write arrived before it. What arrives for a SINT that is masked, or with the controller or the page off, waits in the inbox.

import type { GuestMemory } from '@guestyard/guestmem'
import {
  MSR_PAGE_ENABLE,
  MSR_SCONTROL_ENABLE,
  SIEF_ARRAY_SIZE,
  msrPageNumber,
} from '@guestyard/hvdef'

import type { LocalApic } from '../apic.ts'
import { NOWHERE, isOverlayPlace } from '../overlays/overlay-page.ts'
import type { OverlayPage } from '../overlays/overlay-page.ts'
import type { MsrValue } from '../msr-value.ts'
import { DELIVERABLE, INBOX_MESSAGE_SHIFT, INBOX_SUMMARY } from '../vp-page.ts'
import { moveEventFlags } from './event-flags.ts'
import { MessageSlots } from './message-slots.ts'
import { SintRegisters } from './sint.ts'

const EVENTS_MASK = 0xffff
const SIEF_ARRAY_WORDS = SIEF_ARRAY_SIZE / Int32Array.BYTES_PER_ELEMENT

/** The two pages a SynIC has in guest memory. */
export type SynicPage = 'sim' | 'sief'

export class Synic {
  readonly slots: MessageSlots
  readonly sints: SintRegisters = new SintRegisters()
  /** Times that a SINT found flags to raise its vector for. */
  eventInterrupts = 0
  readonly #page: Int32Array
  readonly #memory: GuestMemory
  readonly #apic: LocalApic
  readonly #control: MsrValue = { low: 0, high: 0 }
  readonly #sim: MsrValue = { low: 0, high: 0 }
  readonly #sief: MsrValue = { low: 0, high: 0 }
  readonly #simPage: OverlayPage
  readonly #siefPage: OverlayPage
  /** bits 15:0 SINTs whose flags, 31:16 SINTs whose messages may be written now. */
  #deliverable = 0

  constructor(
    page: Int32Array,
    memory: GuestMemory,
    apic: LocalApic,
    simPage: OverlayPage,
    siefPage: OverlayPage,
  ) {
    this.#page = page
    this.#memory = memory
    this.#apic = apic
    this.#simPage = simPage
    this.#siefPage = siefPage
    this.slots = new MessageSlots(page)
    this.#publish()
  }

  /** True when `deliver` would find something. */
  get hasWork(): boolean {
    return (Atomics.load(this.#page, INBOX_SUMMARY) & this.#deliverable) !== 0
  }

  /** Moves what the inbox holds into the guest's pages and requests the interrupts. Costs a load when there is nothing. */
  deliver(): void {
    if ((Atomics.load(this.#page, INBOX_SUMMARY) & this.#deliverable) === 0) return
    // ORDER: the summary is cleared before what it announces is read, so that a later announcement sets it again.
    const taken = Atomics.and(this.#page, INBOX_SUMMARY, ~this.#deliverable) & this.#deliverable
    const sief = this.#siefPage
    let events = taken & EVENTS_MASK
    while (events !== 0) {
      const sint = 31 - Math.clz32(events)
      events &= ~(1 << sint)
      const at = sief.at + sint * SIEF_ARRAY_WORDS
      if (!moveEventFlags(this.#page, sint, sief.words, at)) continue
      this.eventInterrupts++
      this.#interrupt(sint)
    }
    this.slots.noteAnnounced(taken >>> INBOX_MESSAGE_SHIFT)
    this.scanMessages()
  }

  /** Looks again for slots that have become free: on EOM, on EOI, and after new messages. */
  scanMessages(): void {
    let written = this.slots.scan(
      this.#simPage.words,
      this.#simPage.at,
      this.#deliverable >>> INBOX_MESSAGE_SHIFT,
    )
    while (written !== 0) {
      const sint = 31 - Math.clz32(written)
      written &= ~(1 << sint)
      this.#interrupt(sint)
    }
  }

  /**
   * A message of the hypervisor's own, 64 words, for a SINT of this VP: written and its interrupt requested at once. False when
   * the slot is in use (the guest then owes an EOM) or nothing may be delivered there now.
   */
  sendLocal(sint: number, message: Int32Array): boolean {
    if (((this.#deliverable >>> (INBOX_MESSAGE_SHIFT + sint)) & 1) === 0) return false
    if (!this.slots.writeLocal(this.#simPage.words, this.#simPage.at, sint, message)) return false
    this.#interrupt(sint)
    return true
  }

  readControl(out: MsrValue): void {
    copy(this.#control, out)
  }

  writeControl(low: number, high: number): void {
    this.deliver()
    set(this.#control, low, high)
    this.#publish()
  }

  readPage(page: SynicPage, out: MsrValue): void {
    copy(page === 'sim' ? this.#sim : this.#sief, out)
  }

  /** False (#GP) for an enabled page that is not RAM. The page's content goes where the page goes. */
  writePage(page: SynicPage, low: number, high: number): boolean {
    const number = msrPageNumber(low, high)
    const enabled = (low & MSR_PAGE_ENABLE) !== 0
    this.deliver()
    if (enabled && !isOverlayPlace(this.#memory, number)) return false
    const overlay = page === 'sim' ? this.#simPage : this.#siefPage
    overlay.moveTo(enabled ? number : NOWHERE)
    set(page === 'sim' ? this.#sim : this.#sief, low, high)
    this.#publish()
    return true
  }

  /** False (#GP) for an unmasked SINT with a vector below 16. */
  writeSint(sint: number, low: number, high: number): boolean {
    this.deliver()
    if (!this.sints.write(sint, low, high)) return false
    this.#publish()
    return true
  }

  #interrupt(sint: number): void {
    if (this.sints.isPolled(sint)) return
    this.#apic.request(this.sints.vector(sint), this.sints.hasAutoEoi(sint))
  }

  /** After any register changed: what can be delivered now, for this thread and for the root. */
  #publish(): void {
    const on = (this.#control.low & MSR_SCONTROL_ENABLE) !== 0
    const open = on ? this.sints.unmasked() : 0
    const events = (this.#sief.low & MSR_PAGE_ENABLE) !== 0 ? open : 0
    const messages = (this.#sim.low & MSR_PAGE_ENABLE) !== 0 ? open : 0
    this.#deliverable = events | (messages << INBOX_MESSAGE_SHIFT)
    Atomics.store(this.#page, DELIVERABLE, this.#deliverable)
    this.scanMessages()
  }
}

function copy(from: MsrValue, to: MsrValue): void {
  to.low = from.low
  to.high = from.high
}

function set(register: MsrValue, low: number, high: number): void {
  register.low = low >>> 0
  register.high = high >>> 0
}
