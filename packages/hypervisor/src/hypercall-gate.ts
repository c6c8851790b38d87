// HOT
// The hypercall page of a VP: lets calls through while the guest has the page enabled, counts and traces them. The VP's thread.

import { TraceKind, type Trace } from '@guestyard/trace'

import type { Caller } from './caller.ts'
import { HYPERCALL_UNDEFINED_OPCODE } from './hypercalls.ts'
import type { HypercallDispatch } from './hypercalls.ts'
import { CALL_GENERATION } from './partition-page.ts'
import type { PartitionRegisters } from './partition-registers.ts'
import type { HypercallCapabilities } from './vp-calls.ts'
import { traceAnswer } from './vp-trace.ts'

/** What a call meets on its way. */
export interface HypercallGateParts {
  readonly dispatch: HypercallDispatch<HypercallCapabilities>
  readonly caller: Caller
  readonly partition: PartitionRegisters
  readonly partitionPage: Int32Array
  readonly trace: Trace | null
}

export class HypercallGate {
  readonly #dispatch: HypercallDispatch<HypercallCapabilities>
  readonly #caller: Caller
  readonly #partition: PartitionRegisters
  readonly #partitionPage: Int32Array
  readonly #trace: Trace | null
  /** The generation for which `#isOpen` and the caller's copies are good. */
  #generation = -1
  #isOpen = false
  /** Calls that were let through. */
  count = 0

  constructor(parts: HypercallGateParts) {
    this.#dispatch = parts.dispatch
    this.#caller = parts.caller
    this.#partition = parts.partition
    this.#partitionPage = parts.partitionPage
    this.#trace = parts.trace
  }

  /** See VirtualProcessor.hypercall. */
  call(
    inLow: number,
    inHigh: number,
    p0Low: number,
    p0High: number,
    p1Low: number,
    p1High: number,
  ): number {
    if (!this.#lets()) return HYPERCALL_UNDEFINED_OPCODE
    if (this.#trace === null) {
      return this.#dispatch.call(inLow, inHigh, p0Low, p0High, p1Low, p1High)
    }
    const before = this.#trace.begin(TraceKind.HYPERCALL, inLow & 0xffff, p0Low)
    const status = this.#dispatch.call(inLow, inHigh, p0Low, p0High, p1Low, p1High)
    traceAnswer(this.#trace, before, inLow & 0xffff, status)
    return status
  }

  /** See VirtualProcessor.hypercallWithRegisters. */
  callWithRegisters(inLow: number, inHigh: number, registers: Int32Array): number {
    if (!this.#lets()) return HYPERCALL_UNDEFINED_OPCODE
    if (this.#trace === null) return this.#dispatch.callWithRegisters(inLow, inHigh, registers)
    const before = this.#trace.begin(TraceKind.HYPERCALL, inLow & 0xffff, registers[0])
    const status = this.#dispatch.callWithRegisters(inLow, inHigh, registers)
    traceAnswer(this.#trace, before, inLow & 0xffff, status)
    return status
  }

  #lets(): boolean {
    const generation = Atomics.load(this.#partitionPage, CALL_GENERATION)
    if (generation !== this.#generation) this.#refresh(generation)
    if (this.#isOpen) this.count++
    return this.#isOpen
  }

  /** Something that this VP keeps copies of has changed. */
  #refresh(generation: number): void {
    this.#generation = generation
    this.#caller.forget()
    this.#isOpen = this.#partition.hypercallPageEnabled
  }
}
