// HOT
// What one dispatch counts: calls by row, and what it refused before a row was asked.

import { HvStatus } from '@guestyard/hvdef'
import type { HypercallName } from '@guestyard/hvdef'

/** Counters of one VP's hypercalls. The VP's thread. */
export class HypercallCounters {
  readonly #names: readonly HypercallName[]
  /** Exact up to 2^53, and never boxed. */
  readonly #calls: Float64Array
  readonly #failures: Float64Array
  /** Invocations of rep calls that gave the processor back with elements left. */
  continued = 0
  #unknownCode = 0
  #accessDenied = 0
  #malformed = 0
  #misaligned = 0
  #notMemory = 0

  constructor(names: readonly HypercallName[]) {
    this.#names = names
    this.#calls = new Float64Array(names.length)
    this.#failures = new Float64Array(names.length)
  }

  /** A row was asked and answered. HOT. */
  done(index: number, status: HvStatus): void {
    this.#calls[index]!++
    if (status !== HvStatus.SUCCESS) this.#failures[index]!++
  }

  /** Dispatch refused a call by itself: one of its five outcomes, of which the last is no status. */
  refused(outcome: number): void {
    if (outcome === HvStatus.INVALID_HYPERCALL_CODE) this.#unknownCode++
    else if (outcome === HvStatus.ACCESS_DENIED) this.#accessDenied++
    else if (outcome === HvStatus.INVALID_HYPERCALL_INPUT) this.#malformed++
    else if (outcome === HvStatus.INVALID_ALIGNMENT) this.#misaligned++
    else this.#notMemory++
  }

  /** Plain data: the rows that were called, by name. */
  inspect(): HypercallInspection {
    return {
      calls: this.#names
        .map((name, index) => ({
          name,
          calls: this.#calls[index]!,
          failures: this.#failures[index]!,
        }))
        .filter((row) => row.calls > 0),
      continued: this.continued,
      unknownCode: this.#unknownCode,
      accessDenied: this.#accessDenied,
      malformed: this.#malformed,
      misaligned: this.#misaligned,
      notMemory: this.#notMemory,
    }
  }
}

/** What `inspect` answers. */
export interface HypercallInspection {
  readonly calls: readonly {
    readonly name: HypercallName
    /** Calls that a row answered, and how many of them not with SUCCESS. */
    readonly calls: number
    readonly failures: number
  }[]
  readonly continued: number
  /** Calls that no row was asked about, by what was wrong with them. */
  readonly unknownCode: number
  readonly accessDenied: number
  readonly malformed: number
  readonly misaligned: number
  readonly notMemory: number
}
