// The MSRs of partition scope. They lie in the partition page, because every VP of the partition sees the same ones;
// each is one i64 that VPs change by compare-and-exchange, so that no VP ever sees half a value.

import type { GuestMemory } from '@guestyard/guestmem'
import {
  MSR_HYPERCALL_LOCKED,
  MSR_PAGE_ENABLE,
  PAGE_SIZE,
  ReferenceTscPage,
  msrPageNumber,
} from '@guestyard/hvdef'

import type { MsrValue } from './msr-value.ts'
import { NOWHERE, isOverlayPlace } from './overlays/overlay-page.ts'
import { HYPERCALL_OVERLAY, REFERENCE_TSC_OVERLAY } from './overlays/partition-overlays.ts'
import type { PartitionOverlays } from './overlays/partition-overlays.ts'
import {
  CALL_GENERATION,
  PAGE_WORDS,
  REGISTER_CRASH_CTL,
  REGISTER_CRASH_P0,
  REGISTER_GUEST_OS_ID,
  REGISTER_HYPERCALL,
  REGISTER_LAST_REFERENCE_TIME,
  REGISTER_REFERENCE_TSC,
  REGISTER_TSC_INVARIANT,
} from './partition-page.ts'
import type { ReferenceClock } from './time/reference-clock.ts'

/** The low word of HYPERCALL, as an index of i32. */
const HYPERCALL_WORD = REGISTER_HYPERCALL * 2
const ENABLE = BigInt(MSR_PAGE_ENABLE)
const LOCKED = BigInt(MSR_HYPERCALL_LOCKED)
/** `out 0xee, al; ret`: traps in a machine guest, and changes no register. */
const HYPERCALL_PAGE_CODE = new Uint8Array([0xe6, 0xee, 0xc3])
const HYPERCALL_PAGE_FILL = 0xcc
/** Of a reference TSC page that is valid: this number and the next, in turn. */
const TSC_SEQUENCE = 1
/** Words of it that are not reserved. */
const TSC_WORDS = 6
const REGISTERS = 11
/** Attempts at a compare-and-exchange that other VPs of the partition keep winning. */
const ATTEMPTS_MAX = 64

/** A partition's own MSRs, as one of its VPs sees them. VP's thread. */
export class PartitionRegisters {
  readonly #registers: BigInt64Array
  readonly #words: Int32Array
  readonly #memory: GuestMemory
  readonly #overlays: PartitionOverlays
  readonly #clock: ReferenceClock
  readonly #tscPage: Int32Array = new Int32Array(PAGE_WORDS)

  constructor(
    page: SharedArrayBuffer,
    memory: GuestMemory,
    overlays: PartitionOverlays,
    clock: ReferenceClock,
  ) {
    this.#registers = new BigInt64Array(page, 0, REGISTERS)
    this.#words = new Int32Array(page)
    this.#memory = memory
    this.#overlays = overlays
    this.#clock = clock
  }

  /** True while calls through the hypercall page reach the hypervisor. */
  get hypercallPageEnabled(): boolean {
    return (Atomics.load(this.#words, HYPERCALL_WORD) & MSR_PAGE_ENABLE) !== 0
  }

  readGuestOsId(out: MsrValue): void {
    split(Atomics.load(this.#registers, REGISTER_GUEST_OS_ID), out)
  }

  /** Zero takes the hypercall page away, unless it is locked. */
  writeGuestOsId(low: number, high: number): void {
    const value = join(low, high)
    Atomics.store(this.#registers, REGISTER_GUEST_OS_ID, value)
    if (value !== 0n) return
    const current = Atomics.load(this.#registers, REGISTER_HYPERCALL)
    if ((current & LOCKED) === 0n) {
      Atomics.compareExchange(this.#registers, REGISTER_HYPERCALL, current, current & ~ENABLE)
      this.#hypercallChanged()
    }
  }

  readHypercall(out: MsrValue): void {
    split(Atomics.load(this.#registers, REGISTER_HYPERCALL), out)
  }

  /**
   * False (#GP) once the register is locked, and for a page that is not RAM. Without a guest OS id the enable bit stays 0.
   * Enabling puts the page's code over what is there.
   */
  writeHypercall(low: number, high: number): boolean {
    const current = Atomics.load(this.#registers, REGISTER_HYPERCALL)
    if ((current & LOCKED) !== 0n) return false
    const identified = Atomics.load(this.#registers, REGISTER_GUEST_OS_ID) !== 0n
    const value = identified ? join(low, high) : join(low, high) & ~ENABLE
    if ((value & ENABLE) !== 0n && !isOverlayPlace(this.#memory, msrPageNumber(low, high))) {
      return false
    }
    // A lock that another VP set meanwhile stands: this write came after it.
    const written =
      Atomics.compareExchange(this.#registers, REGISTER_HYPERCALL, current, value) === current
    this.#hypercallChanged()
    return written
  }

  readReferenceTsc(out: MsrValue): void {
    split(Atomics.load(this.#registers, REGISTER_REFERENCE_TSC), out)
  }

  /** False (#GP) for an enabled page that is not RAM. */
  writeReferenceTsc(low: number, high: number): boolean {
    const enabled = (low & MSR_PAGE_ENABLE) !== 0
    if (enabled && !isOverlayPlace(this.#memory, msrPageNumber(low, high))) return false
    Atomics.store(this.#registers, REGISTER_REFERENCE_TSC, join(low, high))
    this.#followReferenceTsc()
    return true
  }

  readTscInvariant(out: MsrValue): void {
    split(Atomics.load(this.#registers, REGISTER_TSC_INVARIANT), out)
  }

  /** Bit 0 shows the guest that its TSC is invariant. False (#GP) for any other. */
  writeTscInvariant(low: number, high: number): boolean {
    if (high !== 0 || (low & ~1) !== 0) return false
    Atomics.store(this.#registers, REGISTER_TSC_INVARIANT, join(low, high))
    return true
  }

  /** True once the guest has asked to see an invariant TSC. */
  get showsInvariantTsc(): boolean {
    return (Atomics.load(this.#registers, REGISTER_TSC_INVARIANT) & 1n) === 1n
  }

  /** CRASH_P0 to P4. */
  readCrashParameter(index: number, out: MsrValue): void {
    split(Atomics.load(this.#registers, REGISTER_CRASH_P0 + index), out)
  }

  writeCrashParameter(index: number, low: number, high: number): void {
    Atomics.store(this.#registers, REGISTER_CRASH_P0 + index, join(low, high))
  }

  /** What was written to CRASH_CTL, for the root to read with the parameters. */
  writeCrashControl(low: number, high: number): void {
    Atomics.store(this.#registers, REGISTER_CRASH_CTL, join(low, high))
  }

  /** Shows overlays that waited for a page to become free. */
  settleOverlays(): void {
    if (this.#overlays.isWaiting(HYPERCALL_OVERLAY)) this.#followHypercall()
    if (this.#overlays.isWaiting(REFERENCE_TSC_OVERLAY)) this.#followReferenceTsc()
  }

  #followHypercall(): void {
    this.#overlays.follow(
      HYPERCALL_OVERLAY,
      () => this.#pageOf(REGISTER_HYPERCALL),
      (words, at) => {
        const bytes = new Uint8Array(words.buffer, words.byteOffset + at * 4, PAGE_SIZE)
        bytes.fill(HYPERCALL_PAGE_FILL)
        bytes.set(HYPERCALL_PAGE_CODE)
      },
    )
  }

  #followReferenceTsc(): void {
    this.#overlays.follow(
      REFERENCE_TSC_OVERLAY,
      () => this.#pageOf(REGISTER_REFERENCE_TSC),
      (words, at) => {
        words.fill(0, at, at + PAGE_WORDS)
        this.#writeReferenceTsc(words, at)
      },
    )
  }

  /** The partition's time was changed: the page says so. */
  refreshReferenceTsc(): void {
    this.#overlays.rewrite(REFERENCE_TSC_OVERLAY, (words, at) => this.#writeReferenceTsc(words, at))
  }

  /** Time that stands still is no TSC's: the page is not valid then, and guests read TIME_REF_COUNT. */
  #writeReferenceTsc(words: Int32Array, at: number): void {
    const sequence = Atomics.load(words, at)
    // ORDER: not valid, then the values, then valid under another number: a reader that saw the old one looks again.
    Atomics.store(words, at, 0)
    if (this.#clock.isFrozen) return
    ReferenceTscPage.encode(new DataView(this.#tscPage.buffer), 0, {
      sequence: 0,
      scale: this.#clock.tscScale,
      offset: this.#clock.tscOffset100ns,
    })
    for (let word = 1; word < TSC_WORDS; word++) words[at + word] = this.#tscPage[word]!
    Atomics.store(words, at, sequence === TSC_SEQUENCE ? TSC_SEQUENCE + 1 : TSC_SEQUENCE)
  }

  /** Where a register places its page: any number, if a VP scribbles on it, so RAM is checked again. */
  #pageOf(register: number): number {
    const value = Atomics.load(this.#registers, register)
    if ((value & ENABLE) === 0n) return NOWHERE
    const page = Number(BigInt.asUintN(64, value) >> 12n)
    return isOverlayPlace(this.#memory, page) ? page : NOWHERE
  }

  #hypercallChanged(): void {
    this.#followHypercall()
    // ORDER: after the change: VPs that see the new generation read the register again.
    Atomics.add(this.#words, CALL_GENERATION, 1)
  }

  /** Reference time in 100 ns: now, or one more than any VP has been told. */
  readReferenceTime(out: MsrValue): void {
    const now = BigInt(this.#clock.read100ns())
    let told = now
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const last = Atomics.load(this.#registers, REGISTER_LAST_REFERENCE_TIME)
      told = now > last ? now : last + 1n
      if (
        Atomics.compareExchange(this.#registers, REGISTER_LAST_REFERENCE_TIME, last, told) === last
      ) {
        break
      }
    }
    split(told, out)
  }
}

function join(low: number, high: number): bigint {
  return BigInt.asIntN(64, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0))
}

function split(value: bigint, out: MsrValue): void {
  out.low = Number(value & 0xffff_ffffn)
  out.high = Number((value >> 32n) & 0xffff_ffffn)
}
