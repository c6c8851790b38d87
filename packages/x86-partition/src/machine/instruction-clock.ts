// HOT
// Time for a processor in virtual time: what its host's clock said when a slice of guest code began, and a nanosecond for each instruction
// since. So the same code at the same time always meets the same time, whatever the machine that it runs on is doing.

import type { EngineClock } from '@guestyard/engine'

const NS_PER_INSTRUCTION = 1
/**
 * Each look at the clock takes this long. Within a compiled block the processor's counter stands still: a guest that waits there by reading
 * its TSC would wait for ever.
 */
const NS_PER_LOOK = 100
const NS_PER_MS = 1e6
const NS_PER_UNIT = 100

/** VP's thread only. Whoever polls the machine wraps each poll in `begin` and `end`. */
export class InstructionClock implements EngineClock {
  readonly #base: EngineClock
  #counter: () => number = noInstructions
  #from = 0
  #looks = 0
  #isRunning = false

  /** `base` stands still during a slice. */
  constructor(base: EngineClock) {
    this.#base = base
  }

  /** Whose instructions count: a counter modulo 2^32. Between slices only. */
  count(counter: () => number): void {
    this.#counter = counter
  }

  get nowMs(): number {
    return this.#base.nowMs + this.#sliceNs() / NS_PER_MS
  }

  get now100ns(): number {
    return this.#base.now100ns + Math.floor(this.#sliceNs() / NS_PER_UNIT)
  }

  update(): number {
    this.#looks += 1
    return this.nowMs
  }

  /** For the processor's own devices and its TSC. */
  readonly tick = (): number => this.update()

  begin(): void {
    this.#from = this.#counter()
    this.#looks = 0
    this.#isRunning = true
  }

  /** Nanoseconds that the slice took: an integer, 0 where no guest code ran. */
  end(): number {
    const ns = this.#sliceNs()
    this.#isRunning = false
    return ns
  }

  #sliceNs(): number {
    if (!this.#isRunning) return 0
    const executed = (this.#counter() - this.#from) >>> 0
    return executed * NS_PER_INSTRUCTION + this.#looks * NS_PER_LOOK
  }
}

function noInstructions(): number {
  return 0
}
