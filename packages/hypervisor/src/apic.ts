// The virtual local APIC of a VP, as far as interrupts by message need it: request register (IRR), in-service
// register (ISR), task priority, end of interrupt. Edge-triggered, fixed delivery. Private to the VP's thread.

const WORDS = 8
/** Lowest vector that an interrupt may carry. */
const VECTOR_MIN = 16

/** Interrupts of one VP. Vectors are 16 to 255; a vector's priority class is its upper four bits. */
export class LocalApic {
  readonly #irr: Int32Array = new Int32Array(WORDS)
  readonly #isr: Int32Array = new Int32Array(WORDS)
  /** Beside the IRR: the request came from an auto-EOI SINT and never enters service. */
  readonly #autoEoi: Int32Array = new Int32Array(WORDS)
  /** Bit w: word w of the IRR is not zero. */
  #irrWords = 0
  #taskPriority = 0

  /** Task priority: bits 7:4 are the class at and below which interrupts wait. */
  get taskPriority(): number {
    return this.#taskPriority
  }

  set taskPriority(value: number) {
    this.#taskPriority = value & 0xff
  }

  /** Requests an edge interrupt. One that is already requested stays one. */
  request(vector: number, autoEoi: boolean): void {
    const word = (vector >>> 5) & (WORDS - 1)
    const bit = 1 << (vector & 31)
    this.#irr[word]! |= bit
    this.#irrWords |= 1 << word
    if (autoEoi) this.#autoEoi[word]! |= bit
    else this.#autoEoi[word]! &= ~bit
  }

  /** The highest vector that the processor would take now, or -1. */
  highest(): number {
    if (this.#irrWords === 0) return -1
    const vector = top(this.#irr)
    const floor = Math.max(this.#taskPriority >>> 4, top(this.#isr) >> 4)
    return vector >>> 4 > floor ? vector : -1
  }

  /**
   * The processor takes `vector`, which `highest` returned: it leaves the IRR and, unless its SINT has auto-EOI,
   * enters service. False when it was not requested.
   */
  acknowledge(vector: number): boolean {
    if (vector < VECTOR_MIN || vector > 255) return false
    const word = vector >>> 5
    const bit = 1 << (vector & 31)
    if ((this.#irr[word]! & bit) === 0) return false
    this.#irr[word]! &= ~bit
    if (this.#irr[word] === 0) this.#irrWords &= ~(1 << word)
    if ((this.#autoEoi[word]! & bit) === 0) this.#isr[word]! |= bit
    this.#autoEoi[word]! &= ~bit
    return true
  }

  /** The handler of the highest vector in service is done. That vector, or -1 when none was in service. */
  endOfInterrupt(): number {
    const vector = top(this.#isr)
    if (vector >= 0) this.#isr[vector >>> 5]! &= ~(1 << (vector & 31))
    return vector
  }

  /** True while `vector` waits in the IRR. */
  isRequested(vector: number): boolean {
    return ((this.#irr[vector >>> 5]! >>> (vector & 31)) & 1) === 1
  }

  /** True while `vector` is in service. */
  isInService(vector: number): boolean {
    return ((this.#isr[vector >>> 5]! >>> (vector & 31)) & 1) === 1
  }

  /** Vectors requested and in service, lowest first. */
  inspect(): { requested: number[]; inService: number[]; taskPriority: number } {
    const vectors = Array.from({ length: 256 }, (_, vector) => vector)
    return {
      requested: vectors.filter((vector) => this.isRequested(vector)),
      inService: vectors.filter((vector) => this.isInService(vector)),
      taskPriority: this.#taskPriority,
    }
  }
}

/** The highest set bit of 256, or -1. */
function top(words: Int32Array): number {
  for (let word = WORDS - 1; word >= 0; word--) {
    if (words[word] !== 0) return word * 32 + 31 - Math.clz32(words[word]!)
  }
  return -1
}
