// A partition's time, as one VP's thread tells it: reference time and TSC from the clock that was handed in, so that the two, the
// reference TSC page and the timers agree to the unit (TLFS, "Timers").

import { assert } from '@guestyard/hvdef'

import { TIME_CONTROL } from '../partition-page.ts'
import { referenceTimeOf } from '../partition-time.ts'
import type { Clock } from '../clock.ts'
import type { MsrValue } from '../msr-value.ts'

const UNITS_PER_SECOND = 10_000_000
/** What a clock's TSC runs at when it does not say: 2.56 GHz. */
const TSC_HZ_DEFAULT = 2_560_000_000
/** What the APIC's timer would count: the same on every machine. */
export const APIC_HZ = 200_000_000

export class ReferenceClock {
  readonly tscHz: number
  readonly #clock: Clock
  readonly #createdAt100ns: number
  /** What the parent did to the partition's time: two words that are 0 as a rule, and the i64 that they are. */
  readonly #words: Int32Array
  readonly #control: BigInt64Array
  /** TSC ticks of a unit of 100 ns are 1 << #shift: with a power of two the TSC page loses nothing. */
  readonly #shift: number

  constructor(clock: Clock, createdAt100ns: number, partitionPage: SharedArrayBuffer) {
    this.#clock = clock
    this.#control = new BigInt64Array(partitionPage, 0, TIME_CONTROL + 1)
    this.#words = new Int32Array(partitionPage, TIME_CONTROL * 8, 2)
    this.#createdAt100ns = createdAt100ns
    this.tscHz = clock.tscHz ?? TSC_HZ_DEFAULT
    this.#shift = Math.log2(this.tscHz / UNITS_PER_SECOND)
    assert(
      Number.isInteger(this.#shift) && this.#shift >= 0 && this.#shift <= 16,
      'The TSC counts 1, 2, 4 or another power of two up to 65536 for each 100 ns.',
    )
  }

  /** Reference time: 100 ns since the partition was created, unless its parent changed that, as of the engine's latest look. HOT. */
  get now100ns(): number {
    if ((Atomics.load(this.#words, 0) | Atomics.load(this.#words, 1)) !== 0) {
      return referenceTimeOf(this.#control, this.#clock.now100ns, this.#createdAt100ns)
    }
    const now = this.#clock.now100ns - this.#createdAt100ns
    return now > 0 ? now : 0
  }

  /** The same, of this moment. */
  read100ns(): number {
    this.#clock.update?.()
    return this.now100ns
  }

  /** The machine's clock, as of the engine's latest look. HOT. */
  get machine100ns(): number {
    return this.#clock.now100ns
  }

  /** The same, of this moment. */
  readMachine100ns(): number {
    this.#clock.update?.()
    return this.#clock.now100ns
  }

  /** True while the parent has stopped the partition's time. */
  get isFrozen(): boolean {
    return (Atomics.load(this.#words, 0) & 1) === 1
  }

  /** When reference time `time100ns` comes, on the machine's clock; Infinity while time stands still. */
  machineTime100ns(time100ns: number): number {
    if (this.isFrozen) return Number.POSITIVE_INFINITY
    return time100ns + this.#createdAt100ns + this.#shift100ns
  }

  /** RDTSC: ticks since the machine started. */
  readTsc(out: MsrValue): void {
    this.#clock.update?.()
    const unitsPerHigh = 2 ** (32 - this.#shift)
    const now = Math.max(0, this.#clock.now100ns)
    out.high = Math.floor(now / unitsPerHigh) >>> 0
    out.low = ((now % unitsPerHigh) * 2 ** this.#shift) >>> 0
  }

  /** Scale of the reference TSC page: reference time is ((TSC * scale) >> 64) + offset. */
  get tscScale(): bigint {
    return (BigInt(UNITS_PER_SECOND) << 64n) / BigInt(this.tscHz)
  }

  /** Offset of the reference TSC page, 100 ns. */
  get tscOffset100ns(): bigint {
    return -BigInt(this.#createdAt100ns + this.#shift100ns)
  }

  /** What the parent's changes of the time subtract, while it goes on. */
  get #shift100ns(): number {
    if ((Atomics.load(this.#words, 0) | Atomics.load(this.#words, 1)) === 0) return 0
    return Number(Atomics.load(this.#control, TIME_CONTROL) >> 1n)
  }
}
