// HOT
// A virtual processor, as its own thread meets it: CPUID, MSRs, hypercalls and the interrupts that wait for it. Made from
// the handles that the root's `Hypervisor.handlesFor` gave, on the thread that runs the guest; nobody else may use it.
//
//   run guest code -> deliver() -> a vector? -> acknowledge(vector) -> guest's handler -> EOI MSR -> ...

import type { GuestMemory } from '@guestyard/guestmem'
import { HvStatus } from '@guestyard/hvdef'
import type { PrivilegeMask } from '@guestyard/hvdef'
import { TraceKind, TraceLink, traceKey, type Trace } from '@guestyard/trace'

import { LocalApic } from './apic.ts'
import { Caller } from './caller.ts'
import type { Wake } from './caller.ts'
import { CpuidLeaves } from './cpuid-leaves.ts'
import type { CpuidResult } from './cpuid-leaves.ts'
import type { HypercallInspection } from './hypercall-counters.ts'
import { HYPERCALL_UNDEFINED_OPCODE, HypercallDispatch } from './hypercalls.ts'
import { MsrFile } from './msr-file.ts'
import { InterceptSlot } from './intercepts/intercept-slot.ts'
import { InterceptUnit } from './intercepts/intercept-unit.ts'
import { hasInterrupts, takeInterrupts } from './interrupt-inbox.ts'
import { CALL_GENERATION, partitionPageBytes, vpBlock } from './partition-page.ts'
import { PartitionRegisters } from './partition-registers.ts'
import { referenceTimeOf } from './partition-time.ts'
import type { MsrValue } from './partition-registers.ts'
import { announce } from './synic/event-flags.ts'
import { Synic } from './synic/synic.ts'
import type { MsrRegisters } from './synthetic-msrs.ts'
import { VP_CALLS } from './vp-calls.ts'
import type { HypercallCapabilities } from './vp-calls.ts'
import {
  ENDED_VECTORS,
  GRANT,
  OUTBOX_ENDED,
  PING,
  PONG,
  SUSPEND,
  VP_PAGE_BYTES,
} from './vp-page.ts'

/** Time as the engine tells it. */
export interface Clock {
  /** Milliseconds since the machine started. */
  readonly nowMs: number
  /** 100 ns units since the machine started: an integer. */
  readonly now100ns: number
}

/** What the VP's thread needs: plain data and shared buffers, for `postMessage`. */
export interface VpHandles {
  readonly partitionId: number
  readonly vpIndex: number
  readonly vpCount: number
  readonly privileges: PrivilegeMask
  /** The root's clock when the partition was created, 100 ns. */
  readonly createdAt100ns: number
  readonly partitionPage: SharedArrayBuffer
  readonly vpPage: SharedArrayBuffer
  /** What is at each page of GPA space: for a `SlatReader`. */
  readonly slat: SharedArrayBuffer
  /** Doorbells of the partition's VPs, in their order; empty where nobody made any. */
  readonly vpDoorbells: readonly SharedArrayBuffer[]
}

export interface VirtualProcessorOptions {
  /** RAM of the partition. */
  readonly memory: GuestMemory
  /** Wakes the root for this VP's outbox. */
  readonly wakeRoot: Wake
  /** Counts from the same start as the root's clock. */
  readonly clock: Clock
  readonly trace?: Trace | null
}

export class VirtualProcessor {
  /** For `readMsr`, when the caller needs nothing of its own. */
  readonly msr: MsrValue = { low: 0, high: 0 }
  /** Port and memory accesses, and the MSRs and CPUID leaves that the partition's owner wants to see. */
  readonly intercepts: InterceptUnit
  readonly #handles: VpHandles
  readonly #page: Int32Array
  readonly #apic: LocalApic = new LocalApic()
  readonly #synic: Synic
  readonly #caller: Caller
  readonly #dispatch: HypercallDispatch<HypercallCapabilities>
  readonly #partition: PartitionRegisters
  readonly #msrs: MsrFile
  readonly #cpuid: CpuidLeaves
  readonly #wakeRoot: Wake
  readonly #trace: Trace | null
  readonly #partitionPage: Int32Array
  /** First word of this VP's block there. */
  readonly #block: number
  readonly #intercept: InterceptSlot
  /** The generation for which `#callsReach` and the caller's copies are good. */
  #generation = -1
  #callsReach = false
  #pong = 0
  #hypercalls = 0

  /** Throws a RangeError for handles whose buffers are too small: they come from our own `handlesFor`. */
  constructor(handles: VpHandles, options: VirtualProcessorOptions) {
    this.#handles = handles
    this.#page = new Int32Array(handles.vpPage, 0, VP_PAGE_BYTES / 4)
    this.#partitionPage = new Int32Array(
      handles.partitionPage,
      0,
      partitionPageBytes(handles.vpCount) / 4,
    )
    this.#block = vpBlock(handles.vpIndex)
    this.#intercept = new InterceptSlot(this.#page)
    this.#wakeRoot = options.wakeRoot
    this.#trace = options.trace ?? null
    this.#caller = new Caller(
      handles.partitionId,
      handles.vpIndex,
      handles.vpCount,
      this.#partitionPage,
      this.#page,
      options.wakeRoot,
    )
    this.#caller.trace = this.#trace
    this.#dispatch = new HypercallDispatch(
      VP_CALLS,
      handles.privileges,
      options.memory,
      this.#caller,
    )
    this.#synic = new Synic(this.#page, options.memory, this.#apic)
    this.#partition = new PartitionRegisters(handles.partitionPage, options.memory)
    this.#msrs = new MsrFile(handles.privileges, this.#registers(options))
    this.#cpuid = new CpuidLeaves(handles)
    this.intercepts = new InterceptUnit({
      vpIndex: handles.vpIndex,
      slot: this.#intercept,
      partitionPage: this.#partitionPage,
      memory: options.memory,
      wakeRoot: options.wakeRoot,
      readMsr: (msr, out) => this.readMsr(msr, out),
      writeMsr: (msr, low, high) => this.writeMsr(msr, low, high),
      cpuid: (leaf, out) => this.#cpuid.read(leaf, out),
    })
  }

  /** Hypercalls made so far. */
  get hypercallCount(): number {
    return this.#hypercalls
  }

  get vpIndex(): number {
    return this.#handles.vpIndex
  }

  /** Elements done by the latest hypercall, when it was a rep call. */
  get repsCompleted(): number {
    return this.#dispatch.repsCompleted
  }

  /** After HYPERCALL_CONTINUED: the upper half of the input value that the instruction is executed with again. */
  get continuedHigh(): number {
    return this.#dispatch.continuedHigh
  }

  /** CPUID. `subleaf` changes nothing: no leaf of the hypervisor has any. */
  cpuid(leaf: number, _subleaf: number, out: CpuidResult): void {
    this.#cpuid.read(leaf, out)
  }

  /** RDMSR. False is #GP, and `out` is as it was. */
  readMsr(msr: number, out: MsrValue): boolean {
    return this.#msrs.read(msr, out)
  }

  /** WRMSR of `high:low`. False is #GP, and nothing changed. */
  writeMsr(msr: number, low: number, high: number): boolean {
    const accepted = this.#msrs.write(msr, low, high)
    this.#wakeRootForSpace()
    return accepted
  }

  /**
   * A call through the hypercall page with the x64 registers as u32 halves: RCX, RDX, R8. An HvStatus, or one of
   * HYPERCALL_UNDEFINED_OPCODE and HYPERCALL_MEMORY_INTERCEPT, which are faults of the guest and not statuses, and
   * HYPERCALL_CONTINUED, after which the guest makes the call again with `continuedHigh`.
   */
  hypercall(
    inLow: number,
    inHigh: number,
    p0Low: number,
    p0High: number,
    p1Low: number,
    p1High: number,
  ): number {
    const generation = Atomics.load(this.#partitionPage, CALL_GENERATION)
    if (generation !== this.#generation) this.#refresh(generation)
    if (!this.#callsReach) return HYPERCALL_UNDEFINED_OPCODE
    this.#hypercalls++
    if (this.#trace === null) {
      return this.#dispatch.call(inLow, inHigh, p0Low, p0High, p1Low, p1High)
    }
    const turn = this.#trace.begin(TraceKind.HYPERCALL, inLow & 0xffff, p0Low)
    const status = this.#dispatch.call(inLow, inHigh, p0Low, p0High, p1Low, p1High)
    if (status !== HvStatus.SUCCESS) this.#trace.record(TraceKind.REFUSED, inLow & 0xffff, status)
    this.#trace.cause = turn
    return status
  }

  /** As `hypercall`, by a processor that gives its XMM registers: see HypercallDispatch.callWithRegisters. */
  hypercallWithRegisters(inLow: number, inHigh: number, registers: Int32Array): number {
    const generation = Atomics.load(this.#partitionPage, CALL_GENERATION)
    if (generation !== this.#generation) this.#refresh(generation)
    if (!this.#callsReach) return HYPERCALL_UNDEFINED_OPCODE
    this.#hypercalls++
    return this.#dispatch.callWithRegisters(inLow, inHigh, registers)
  }

  /**
   * On the way into the guest: messages and event flags reach the SIM and SIEF pages, requests of other threads the APIC, a ping
   * is answered. The highest vector the processor would take (NMI_VECTOR for an NMI), or -1, as also while the VP is suspended.
   * Three loads when there is nothing new.
   */
  deliver(): number {
    takeInterrupts(this.#partitionPage, this.#block, this.#apic)
    this.#synic.deliver()
    this.pingPending()
    this.#wakeRootForSpace()
    return this.#intercept.settle() ? this.#apic.highest() : -1
  }

  /** True when `deliver` would find something new or an interrupt is waiting to be taken. */
  get hasWork(): boolean {
    return (
      this.#synic.hasWork ||
      hasInterrupts(this.#partitionPage, this.#block) ||
      Atomics.load(this.#page, PING) !== this.#pong ||
      (this.#apic.highest() >= 0 && !this.#intercept.isOpen)
    )
  }

  /** The processor takes a vector that `deliver` returned. False when it was not requested. */
  acknowledge(vector: number): boolean {
    const trace = this.#trace
    if (trace !== null) {
      const { partitionId, vpIndex } = this.#handles
      const message = trace.takeNext(traceKey(TraceLink.MESSAGE_TO_VP, partitionId, vpIndex, 0))
      const event = trace.takeUp(traceKey(TraceLink.EVENT_TO_VP, partitionId, vpIndex, 0))
      // One interrupt takes one message and all flags.
      if (message !== 0 || event !== 0) trace.cause = message === 0 ? event : message
      trace.begin(TraceKind.INTERRUPT, vector)
    }
    return this.#apic.acknowledge(vector)
  }

  /** EOI of the highest vector in service, as by the APIC's own register. Messages that waited are tried again. */
  endOfInterrupt(): void {
    const vector = this.#apic.endOfInterrupt()
    if (vector >= 0 && this.#apic.isLevel(vector)) this.#announceEnded(vector)
    this.#synic.scanMessages()
    this.#wakeRootForSpace()
  }

  /** The guest returned from the handler of an NMI. */
  returnFromNmi(): void {
    this.#apic.returnFromNmi()
  }

  /** True while no guest code may run: for an intercept that is not answered, or because the root suspended the VP. */
  get isSuspended(): boolean {
    return Atomics.load(this.#page, SUSPEND) !== 0 || !this.#intercept.settle()
  }

  /** The logical processor on which this VP may run guest code now, or -1: then it must not. HOT. */
  grantedLp(): number {
    return Atomics.load(this.#page, SUSPEND) === 0 ? Atomics.load(this.#page, GRANT) - 1 : -1
  }

  /** Answers the host's ping, if there is one. `deliver` does; a guest that stays away from `deliver` may. */
  pingPending(): void {
    const ping = Atomics.load(this.#page, PING)
    if (ping === this.#pong) return
    this.#pong = ping
    Atomics.store(this.#page, PONG, ping)
  }

  /** Plain data about this VP. */
  inspect(): VpInspection {
    return {
      partitionId: this.#handles.partitionId,
      vpIndex: this.#handles.vpIndex,
      hypercalls: this.#hypercalls,
      hypercallCounters: this.#dispatch.counters.inspect(),
      messagesPosted: this.#caller.messagesPosted,
      eventsSignalled: this.#caller.eventsSignalled,
      rootWakes: this.#caller.rootWakes,
      longSpinWaits: this.#caller.longSpinWaits,
      messagesDelivered: this.#synic.slots.delivered,
      messagesWaiting: this.#synic.slots.waiting,
      eventInterrupts: this.#synic.eventInterrupts,
      apic: this.#apic.inspect(),
    }
  }

  /** Something that this VP keeps copies of has changed. */
  #refresh(generation: number): void {
    this.#generation = generation
    this.#caller.forget()
    this.#callsReach = this.#partition.hypercallPageEnabled
  }

  #registers(options: VirtualProcessorOptions): MsrRegisters {
    const time = new BigInt64Array(this.#handles.partitionPage)
    return {
      vpIndex: this.#handles.vpIndex,
      partition: this.#partition,
      synic: this.#synic,
      apic: this.#apic,
      memory: options.memory,
      vpAssistPage: { low: 0, high: 0 },
      referenceTime: () =>
        referenceTimeOf(time, options.clock.now100ns, this.#handles.createdAt100ns),
      endOfInterrupt: () => this.endOfInterrupt(),
    }
  }

  /** A line may still be asserted: the root looks. */
  #announceEnded(vector: number): void {
    const bit = 1 << (vector & 31)
    // ORDER: vector, then summary; the root takes them the other way round.
    Atomics.or(this.#page, ENDED_VECTORS + (vector >>> 5), bit)
    if (announce(this.#page, OUTBOX_ENDED)) this.#wakeRoot.ring()
  }

  #wakeRootForSpace(): void {
    if (!this.#synic.slots.mustWakeRoot) return
    this.#synic.slots.mustWakeRoot = false
    this.#wakeRoot.ring()
  }
}

/** What `inspect` answers. */
export interface VpInspection {
  readonly partitionId: number
  readonly vpIndex: number
  readonly hypercalls: number
  readonly hypercallCounters: HypercallInspection
  readonly messagesPosted: number
  readonly eventsSignalled: number
  /** Calls that had to ring the root. */
  readonly rootWakes: number
  readonly longSpinWaits: number
  readonly messagesDelivered: number
  /** Bit n: SINTn has messages that wait for its slot. */
  readonly messagesWaiting: number
  readonly eventInterrupts: number
  readonly apic: ReturnType<LocalApic['inspect']>
}
