// The virtual local APIC of a VP: requests (IRR), what is in service (ISR), trigger modes (TMR), task priority, NMI, end of
// interrupt. Private to the VP's thread; what other threads request comes through interrupt-inbox.ts.
//
//   request -> IRR -> acknowledge -> ISR -> endOfInterrupt           an auto-EOI request never enters the ISR
//   NMI     -> pending -> acknowledge(2) -> blocked -> returnFromNmi   no class or TPR holds it back

import { VECTOR_WORDS } from './vp-page.ts'

/** Lowest vector that an interrupt may carry. */
const VECTOR_MIN = 16
/** What `highest` and `acknowledge` call a non-maskable interrupt. */
export const NMI_VECTOR = 2

/** Interrupts of one VP. Vectors are 16 to 255; a vector's priority class is its upper four bits. */
export class LocalApic {
  readonly #irr: Int32Array = new Int32Array(VECTOR_WORDS)
  readonly #isr: Int32Array = new Int32Array(VECTOR_WORDS)
  /** Trigger mode of the latest request of each vector: 1 is level. */
  readonly #tmr: Int32Array = new Int32Array(VECTOR_WORDS)
  /** Beside the IRR: the request ends as it is taken. */
  readonly #autoEoi: Int32Array = new Int32Array(VECTOR_WORDS)
  /** Bit w: word w of the IRR, of the ISR, is not zero. */
  #irrWords = 0
  #isrWords = 0
  #taskPriority = 0
  #nmiPending = false
  #nmiBlocked = false

  /** Task priority: bits 7:4 are the class at and below which interrupts wait. */
  get taskPriority(): number {
    return this.#taskPriority
  }

  set taskPriority(value: number) {
    this.#taskPriority = value & 0xff
  }

  /** Requests an edge interrupt. One that is already requested stays one. */
  request(vector: number, autoEoi: boolean): void {
    const bit = 1 << (vector & 31)
    this.requestWord(vector >>> 5, bit, 0, autoEoi ? bit : 0)
  }

  /**
   * Requests the vectors of one word of 32: `bits`, of which those in `level` are level-triggered and those in `autoEoi`
   * end as they are taken. `word` is taken modulo 8.
   */
  requestWord(word: number, bits: number, level: number, autoEoi: number): void {
    const at = word & (VECTOR_WORDS - 1)
    this.#irr[at]! |= bits
    this.#tmr[at] = (this.#tmr[at]! & ~bits) | (level & bits)
    this.#autoEoi[at] = (this.#autoEoi[at]! & ~bits) | (autoEoi & bits)
    if (this.#irr[at] !== 0) this.#irrWords |= 1 << at
  }

  requestNmi(): void {
    this.#nmiPending = true
  }

  /** True when anything is requested, whatever its priority: what wakes a processor that idles with interrupts off. */
  get hasRequest(): boolean {
    return this.#irrWords !== 0 || this.#nmiPending
  }

  /** The highest vector that the processor would take now, NMI_VECTOR before all others, or -1. */
  highest(): number {
    if (this.#nmiPending && !this.#nmiBlocked) return NMI_VECTOR
    if (this.#irrWords === 0) return -1
    const vector = top(this.#irr, this.#irrWords)
    return vector >>> 4 > this.#floor() ? vector : -1
  }

  /**
   * The processor takes `vector`, which `highest` returned: it leaves the IRR and, unless it ends by itself, enters
   * service. False when it was not requested.
   */
  acknowledge(vector: number): boolean {
    if (vector === NMI_VECTOR) return this.#acknowledgeNmi()
    if (!(vector >= VECTOR_MIN && vector <= 255)) return false
    const word = vector >>> 5
    const bit = 1 << (vector & 31)
    if ((this.#irr[word]! & bit) === 0) return false
    this.#irr[word]! &= ~bit
    if (this.#irr[word] === 0) this.#irrWords &= ~(1 << word)
    if ((this.#autoEoi[word]! & bit) !== 0) {
      this.#autoEoi[word]! &= ~bit
      return true
    }
    this.#isr[word]! |= bit
    this.#isrWords |= 1 << word
    return true
  }

  /** The handler of the highest vector in service is done. That vector, or -1 when none was in service. */
  endOfInterrupt(): number {
    if (this.#isrWords === 0) return -1
    const vector = top(this.#isr, this.#isrWords)
    const word = vector >>> 5
    this.#isr[word]! &= ~(1 << (vector & 31))
    if (this.#isr[word] === 0) this.#isrWords &= ~(1 << word)
    return vector
  }

  /** The guest returned from its NMI handler: another one may come. */
  returnFromNmi(): void {
    this.#nmiBlocked = false
  }

  /** True when the latest request of `vector` was level-triggered. */
  isLevel(vector: number): boolean {
    return ((this.#tmr[vector >>> 5]! >>> (vector & 31)) & 1) === 1
  }

  /** True when one vector, edge-triggered, is in service and nothing waits behind it: its EOI would change nothing else. */
  get endIsPlain(): boolean {
    if (this.#irrWords !== 0 || this.#isrWords === 0) return false
    const word = 31 - Math.clz32(this.#isrWords)
    const bits = this.#isr[word]!
    const alone = this.#isrWords === 1 << word && (bits & (bits - 1)) === 0
    return alone && (this.#tmr[word]! & bits) === 0
  }

  /** True while `vector` waits in the IRR. */
  isRequested(vector: number): boolean {
    return ((this.#irr[vector >>> 5]! >>> (vector & 31)) & 1) === 1
  }

  /** True while `vector` is in service. */
  isInService(vector: number): boolean {
    return ((this.#isr[vector >>> 5]! >>> (vector & 31)) & 1) === 1
  }

  /** Vectors requested, in service and level-triggered, lowest first. */
  inspect(): {
    requested: number[]
    inService: number[]
    level: number[]
    taskPriority: number
    nmi: 'none' | 'pending' | 'blocked'
  } {
    const vectors = Array.from({ length: 256 }, (_, vector) => vector)
    return {
      requested: vectors.filter((vector) => this.isRequested(vector)),
      inService: vectors.filter((vector) => this.isInService(vector)),
      level: vectors.filter((vector) => this.isLevel(vector)),
      taskPriority: this.#taskPriority,
      nmi: this.#nmiPending ? 'pending' : this.#nmiBlocked ? 'blocked' : 'none',
    }
  }

  /** The class at and below which interrupts wait: the task's or the handler's, whichever is higher. */
  #floor(): number {
    const task = this.#taskPriority >>> 4
    if (this.#isrWords === 0) return task
    return Math.max(task, top(this.#isr, this.#isrWords) >>> 4)
  }

  #acknowledgeNmi(): boolean {
    if (!this.#nmiPending || this.#nmiBlocked) return false
    this.#nmiPending = false
    this.#nmiBlocked = true
    return true
  }
}

/** The highest set bit of 256, of which the words in `used` are not zero: one at least. */
function top(words: Int32Array, used: number): number {
  const word = 31 - Math.clz32(used)
  return word * 32 + 31 - Math.clz32(words[word]!)
}
