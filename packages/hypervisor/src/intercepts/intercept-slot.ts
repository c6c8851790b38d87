// HOT
// One intercept of a VP: what it did that its partition's owner wants to see, and what the owner answers (TLFS,
// "Intercepts"). A VP has one slot and is suspended while it is in use, so two counters are the whole handshake.
//
//   VP:    message -> RAISED + 1 -> or OUTBOX_INTERCEPT -> ring            ... DONE == RAISED? -> answer
//   root:  take OUTBOX_INTERCEPT -> RAISED -> copy the message -> owner    ... answer -> DONE -> ring
//
// Beside the message go the registers as they are, and the answer is registers as they are to be: those that the owner set, each
// as a low and a high word, or a vector of an exception to raise instead of going on. What it leaves out stays as it was.

import { HvMessageType, assert } from '@guestyard/hvdef'
import { TraceKind, type Trace } from '@guestyard/trace'

import { announce } from '../synic/event-flags.ts'
import {
  INTERCEPT_ANSWER,
  INTERCEPT_ANSWER_WORDS,
  INTERCEPT_DONE,
  INTERCEPT_MESSAGE,
  INTERCEPT_RAISED,
  INTERCEPT_REGISTERS,
  MESSAGE_WORDS,
  OUTBOX_INTERCEPT,
} from '../vp-page.ts'

/** Registers that go with an intercept and its answer, in their order. */
export const InterceptRegister = {
  RAX: 0,
  RBX: 1,
  RCX: 2,
  RDX: 3,
  RSI: 4,
  RDI: 5,
  RIP: 6,
  RFLAGS: 7,
} as const
export type InterceptRegister = (typeof InterceptRegister)[keyof typeof InterceptRegister]

const REGISTERS = 8
/** Words of the answer: bits 7:0 registers that were set, 8 an exception; the exception's vector and error code. */
const ANSWER_SET = 16
const ANSWER_EXCEPTION = 17
const ANSWER_ERROR_CODE = 18
const EXCEPTION_SET = 1 << REGISTERS

/** The VP's end. VP's thread only. */
export class InterceptSlot {
  readonly #page: Int32Array
  readonly #answer: Int32Array = new Int32Array(INTERCEPT_ANSWER_WORDS)
  #raised = 0
  #open = false
  /** Intercepts begun so far. */
  count = 0
  trace: Trace | null = null

  constructor(page: Int32Array) {
    this.#page = page
  }

  /** True from `raise` until the owner has answered and `settle` saw it: no guest code runs, no interrupt is taken. */
  get isOpen(): boolean {
    return this.#open
  }

  /** All registers are zero, before `setRegister` and `raise`. */
  clearRegisters(): void {
    this.#page.fill(0, INTERCEPT_REGISTERS, INTERCEPT_REGISTERS + REGISTERS * 2)
  }

  /** A register as the guest has it, for the owner to read. */
  setRegister(register: InterceptRegister, low: number, high: number): void {
    this.#page[INTERCEPT_REGISTERS + register * 2] = low
    this.#page[INTERCEPT_REGISTERS + register * 2 + 1] = high
  }

  /** Suspends the VP for a message of 64 words, which is copied. True when the root must be woken. */
  raise(message: Int32Array): boolean {
    assert(!this.#open, 'A VP that is suspended for an intercept raises no other.')
    this.#open = true
    this.count++
    this.trace?.begin(TraceKind.INTERCEPT, message[0]! >>> 0)
    this.#raised = (this.#raised + 1) | 0
    for (let word = 0; word < MESSAGE_WORDS; word++) {
      this.#page[INTERCEPT_MESSAGE + word] = message[word]!
    }
    // ORDER: the message, then its number, then the announcement. The root reads them the other way round.
    Atomics.store(this.#page, INTERCEPT_RAISED, this.#raised)
    return announce(this.#page, OUTBOX_INTERCEPT)
  }

  /** Looks whether the owner has answered. True when it has, or when nothing was asked; the VP may go on. */
  settle(): boolean {
    if (!this.#open) return true
    // ORDER: the number vouches for the answer written before it.
    if (Atomics.load(this.#page, INTERCEPT_DONE) !== this.#raised) return false
    for (let word = 0; word < INTERCEPT_ANSWER_WORDS; word++) {
      this.#answer[word] = this.#page[INTERCEPT_ANSWER + word]!
    }
    this.#open = false
    return true
  }

  /** True when the latest answer set this register. */
  hasRegister(register: InterceptRegister): boolean {
    return ((this.#answer[ANSWER_SET]! >>> register) & 1) === 1
  }

  /** Low and high half of a register of the latest answer. */
  low(register: InterceptRegister): number {
    return this.#answer[register * 2]! >>> 0
  }

  high(register: InterceptRegister): number {
    return this.#answer[register * 2 + 1]! >>> 0
  }

  /** Vector of the exception that the latest answer raises, or -1. */
  get exception(): number {
    return (this.#answer[ANSWER_SET]! & EXCEPTION_SET) === 0 ? -1 : this.#answer[ANSWER_EXCEPTION]!
  }

  get errorCode(): number {
    return this.#answer[ANSWER_ERROR_CODE]!
  }
}

/** The root's end. Root's thread only; what it reads was written by a thread that may be hostile. */
export class InterceptInbox {
  readonly #page: Int32Array
  readonly #words: Int32Array = new Int32Array(MESSAGE_WORDS)
  /** The latest message, copied: valid from a `take` that answered true until the next. */
  readonly message: Uint8Array = new Uint8Array(this.#words.buffer)
  readonly #registers: Int32Array = new Int32Array(REGISTERS * 2)
  #raised = 0
  #open = false
  /** Messages taken so far: of port accesses, of memory accesses, of everything else. */
  ioMessages = 0
  memoryMessages = 0
  otherMessages = 0

  constructor(page: Int32Array) {
    this.#page = page
  }

  /** Low half of a register as the VP had it at the latest intercept. */
  low(register: InterceptRegister): number {
    return this.#registers[register * 2]! >>> 0
  }

  high(register: InterceptRegister): number {
    return this.#registers[register * 2 + 1]! >>> 0
  }

  /** True while the VP is suspended for an intercept that the root has taken and nobody completed. */
  get isOpen(): boolean {
    return this.#open
  }

  /** After OUTBOX_INTERCEPT was seen. True for a new intercept: `message` holds it, and `complete` is owed. */
  take(): boolean {
    if (this.#open) return false
    const raised = Atomics.load(this.#page, INTERCEPT_RAISED)
    if (raised === this.#raised) return false
    for (let word = 0; word < MESSAGE_WORDS; word++) {
      this.#words[word] = this.#page[INTERCEPT_MESSAGE + word]!
    }
    for (let word = 0; word < REGISTERS * 2; word++) {
      this.#registers[word] = this.#page[INTERCEPT_REGISTERS + word]!
    }
    this.#raised = raised
    this.#open = true
    this.#count(this.#words[0]! >>> 0)
    this.#page.fill(0, INTERCEPT_ANSWER, INTERCEPT_ANSWER + INTERCEPT_ANSWER_WORDS)
    return true
  }

  /** By the message's type, which the guest's thread wrote: a kind that there is not is any other. */
  #count(type: number): void {
    if (type === HvMessageType.X64_IO_PORT_INTERCEPT) this.ioMessages++
    else if (type === HvMessageType.UNMAPPED_GPA || type === HvMessageType.GPA_INTERCEPT) {
      this.memoryMessages++
    } else this.otherMessages++
  }

  /** Sets a register of the answer. False when no intercept is open. */
  setRegister(register: InterceptRegister, low: number, high: number): boolean {
    if (!this.#open) return false
    this.#page[INTERCEPT_ANSWER + register * 2] = low
    this.#page[INTERCEPT_ANSWER + register * 2 + 1] = high
    this.#page[INTERCEPT_ANSWER + ANSWER_SET]! |= 1 << register
    return true
  }

  /** The VP raises this exception instead of going on. False when no intercept is open. */
  setException(vector: number, errorCode: number): boolean {
    if (!this.#open) return false
    this.#page[INTERCEPT_ANSWER + ANSWER_EXCEPTION] = vector & 0xff
    this.#page[INTERCEPT_ANSWER + ANSWER_ERROR_CODE] = errorCode
    this.#page[INTERCEPT_ANSWER + ANSWER_SET]! |= EXCEPTION_SET
    return true
  }

  /** Ends the suspension. False when no intercept is open; else the VP must be rung. */
  complete(): boolean {
    if (!this.#open) return false
    this.#open = false
    // ORDER: the answer, written above, before the number that vouches for it.
    Atomics.store(this.#page, INTERCEPT_DONE, this.#raised)
    return true
  }
}
