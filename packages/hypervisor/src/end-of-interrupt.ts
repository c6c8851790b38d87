// HOT
// The end of an interrupt, by whatever way the guest said it: the APIC's next, messages that waited for a slot, a line that may
// still be asserted, room that the root waits for. The VP's thread.

import type { LocalApic } from './apic.ts'
import { announce } from './synic/event-flags.ts'
import type { Synic } from './synic/synic.ts'
import type { SyntheticTimers } from './time/synthetic-timers.ts'
import type { VpAssist } from './vp-assist.ts'
import { ENDED_VECTORS, OUTBOX_ENDED } from './vp-page.ts'
import type { Wake } from './wake.ts'

/** What an end concerns. */
export interface EndOfInterruptParts {
  /** The VP page. */
  readonly page: Int32Array
  readonly apic: LocalApic
  readonly synic: Synic
  readonly timers: SyntheticTimers
  readonly assist: VpAssist
  readonly wakeRoot: Wake
}

export class EndOfInterrupt {
  readonly #page: Int32Array
  readonly #apic: LocalApic
  readonly #synic: Synic
  readonly #timers: SyntheticTimers
  readonly #assist: VpAssist
  readonly #wakeRoot: Wake

  constructor(parts: EndOfInterruptParts) {
    this.#page = parts.page
    this.#apic = parts.apic
    this.#synic = parts.synic
    this.#timers = parts.timers
    this.#assist = parts.assist
    this.#wakeRoot = parts.wakeRoot
  }

  /** Ends the vector in service, and one before it that the guest ended in the VP assist page. */
  end(): void {
    this.withdrawAssist()
    this.#end()
  }

  /** Before interrupts are delivered: an end that the guest wrote in the VP assist page. */
  takeAssisted(): void {
    if (this.#assist.takeEnd()) this.#end()
  }

  /** The next end needs an exit; one that was written before is done. */
  withdrawAssist(): void {
    if (this.#assist.withdraw()) this.#end()
  }

  /** The vector that was just taken may be ended without an exit, if nothing speaks against it. */
  offerAssist(): void {
    if (this.#assist.isOn && this.#apic.endIsPlain) this.#assist.offer()
  }

  /** A slot may have become free. */
  scanMessages(): void {
    this.#synic.scanMessages()
    this.#timers.retry()
  }

  /** The root, if it waits for room in a queue that has some now. */
  wakeRootForSpace(): void {
    if (!this.#synic.slots.mustWakeRoot) return
    this.#synic.slots.mustWakeRoot = false
    this.#wakeRoot.ring()
  }

  #end(): void {
    const vector = this.#apic.endOfInterrupt()
    if (vector >= 0 && this.#apic.isLevel(vector)) this.#announceEnded(vector)
    this.scanMessages()
    this.wakeRootForSpace()
  }

  /** A line may still be asserted: the root looks. */
  #announceEnded(vector: number): void {
    const bit = 1 << (vector & 31)
    // ORDER: vector, then summary; the root takes them the other way round.
    Atomics.or(this.#page, ENDED_VECTORS + (vector >>> 5), bit)
    if (announce(this.#page, OUTBOX_ENDED)) this.#wakeRoot.ring()
  }
}
