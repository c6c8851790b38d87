// How the root makes a call: the blocks lie in two pages of its RAM, and the call is executed until it is done. Root thread only.

import {
  HYPERCALL_FAST,
  type HvStatus,
  HypercallTable,
  PAGE_SIZE,
  assert,
  hypercallInputHigh,
  type HypercallName,
} from '@guestyard/hvdef'
import {
  HYPERCALL_CONTINUED,
  HYPERCALL_MEMORY_INTERCEPT,
  HYPERCALL_UNDEFINED_OPCODE,
  type RootProcessor,
} from '@guestyard/hypervisor'

/** Where the blocks of the root's calls lie. */
export const INPUT_GPA: number = PAGE_SIZE
export const OUTPUT_GPA: number = 2 * PAGE_SIZE

export class CallPage {
  readonly #root: RootProcessor
  /** The root's RAM: input from INPUT_GPA, output from OUTPUT_GPA on. */
  readonly view: DataView

  constructor(root: RootProcessor) {
    this.#root = root
    this.view = root.memory.view
  }

  /** Elements done by the latest rep call. */
  get repsCompleted(): number {
    return this.#root.repsCompleted
  }

  /** Makes the call whose input lies in the page; `reps` elements of a rep call, 0 of any other. Returns its status. */
  execute(name: HypercallName, reps = 0): HvStatus {
    const { code } = HypercallTable[name]
    let high = hypercallInputHigh(reps, 0)
    let outcome = this.#root.hypercall(code, high, INPUT_GPA, 0, OUTPUT_GPA, 0)
    while (outcome === HYPERCALL_CONTINUED) {
      high = this.#root.continuedHigh
      outcome = this.#root.hypercall(code, high, INPUT_GPA, 0, OUTPUT_GPA, 0)
    }
    return statusOf(outcome)
  }

  /** Makes a fast call: two registers of input, as u32 halves. HOT. */
  executeFast(
    code: number,
    p0Low: number,
    p0High: number,
    p1Low: number,
    p1High: number,
  ): HvStatus {
    return statusOf(this.#root.hypercall(code | HYPERCALL_FAST, 0, p0Low, p0High, p1Low, p1High))
  }

  /** Writes a list of u64 after the first `headerBytes` of the input. */
  putList(headerBytes: number, values: readonly number[]): void {
    for (let index = 0; index < values.length; index++) {
      this.putU64(headerBytes + index * 8, values[index]!)
    }
  }

  /** A u64 of the input, below 2^53. */
  putU64(at: number, value: number): void {
    this.view.setUint32(INPUT_GPA + at, value % 2 ** 32, true)
    this.view.setUint32(INPUT_GPA + at + 4, Math.floor(value / 2 ** 32), true)
  }

  /** A u64 of the output, exact below 2^53. */
  u64(at: number): number {
    return (
      this.view.getUint32(OUTPUT_GPA + at, true) +
      this.view.getUint32(OUTPUT_GPA + at + 4, true) * 2 ** 32
    )
  }
}

/** The root's pages are RAM and its hypercall page is there: nothing else than a status comes back. */
function statusOf(outcome: number): HvStatus {
  assert(
    outcome !== HYPERCALL_MEMORY_INTERCEPT && outcome !== HYPERCALL_UNDEFINED_OPCODE,
    'A call of the root’s ends with a status.',
  )
  return outcome as HvStatus
}
