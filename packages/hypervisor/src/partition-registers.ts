// The MSRs of partition scope. They lie in the partition page, because every VP of the partition sees the same ones;
// each is one i64 that VPs change by compare-and-exchange, so that no VP ever sees half a value.

import type { GuestMemory } from '@guestyard/guestmem'
import { MSR_HYPERCALL_LOCKED, MSR_PAGE_ENABLE, PAGE_SIZE, msrPageNumber } from '@guestyard/hvdef'

import {
  CALL_GENERATION,
  REGISTER_GUEST_OS_ID,
  REGISTER_HYPERCALL,
  REGISTER_LAST_REFERENCE_TIME,
} from './partition-page.ts'

/** The low word of HYPERCALL, as an index of i32. */
const HYPERCALL_WORD = REGISTER_HYPERCALL * 2
const ENABLE = BigInt(MSR_PAGE_ENABLE)
const LOCKED = BigInt(MSR_HYPERCALL_LOCKED)
/** `out 0xee, al; ret`: traps in a machine guest, and changes no register. */
const HYPERCALL_PAGE_CODE = new Uint8Array([0xe6, 0xee, 0xc3])
const HYPERCALL_PAGE_FILL = 0xcc
/** Attempts at a compare-and-exchange that other VPs of the partition keep winning. */
const ATTEMPTS_MAX = 64

/** An MSR value, filled in by reads. Both halves are u32. */
export interface MsrValue {
  low: number
  high: number
}

/** A partition's own MSRs, as one of its VPs sees them. VP's thread. */
export class PartitionRegisters {
  readonly #registers: BigInt64Array
  readonly #words: Int32Array
  readonly #memory: GuestMemory

  constructor(page: SharedArrayBuffer, memory: GuestMemory) {
    this.#registers = new BigInt64Array(page)
    this.#words = new Int32Array(page)
    this.#memory = memory
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
   * Enabling writes the page's code into RAM.
   */
  writeHypercall(low: number, high: number): boolean {
    const current = Atomics.load(this.#registers, REGISTER_HYPERCALL)
    if ((current & LOCKED) !== 0n) return false
    const identified = Atomics.load(this.#registers, REGISTER_GUEST_OS_ID) !== 0n
    const value = identified ? join(low, high) : join(low, high) & ~ENABLE
    if ((value & ENABLE) !== 0n) {
      const gpa = msrPageNumber(low, high) * PAGE_SIZE
      if (!this.#memory.fill(gpa, HYPERCALL_PAGE_FILL, PAGE_SIZE)) return false
      this.#memory.write(gpa, HYPERCALL_PAGE_CODE)
    }
    // A lock that another VP set meanwhile stands: this write came after it.
    const written =
      Atomics.compareExchange(this.#registers, REGISTER_HYPERCALL, current, value) === current
    this.#hypercallChanged()
    return written
  }

  #hypercallChanged(): void {
    // ORDER: after the change: VPs that see the new generation read the register again.
    Atomics.add(this.#words, CALL_GENERATION, 1)
  }

  /** Reference time in 100 ns: `now`, or one more than any VP has been told. */
  readReferenceTime(now100ns: number, out: MsrValue): void {
    const now = BigInt(now100ns)
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
