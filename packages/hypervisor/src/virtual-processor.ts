// HOT
// A virtual processor, as its own thread meets it: CPUID, MSRs, hypercalls and the interrupts that wait for it. Made from
// the handles that the root's `Hypervisor.handlesFor` gave, on the thread that runs the guest; nobody else may use it.
//
//   run guest code -> deliver() -> a vector? -> acknowledge(vector) -> guest's handler -> EOI MSR -> ...

import { SlatReader } from '@guestyard/guestmem'
import type { GuestMemory } from '@guestyard/guestmem'
import type { PrivilegeMask } from '@guestyard/hvdef'
import { TraceKind, type Trace } from '@guestyard/trace'

import { LocalApic, NMI_VECTOR } from './apic.ts'
import { Caller } from './caller.ts'
import type { Wake } from './wake.ts'
import type { Clock } from './clock.ts'
import { CpuidLeaves } from './cpuid-leaves.ts'
import type { CpuidResult } from './cpuid-leaves.ts'
import type { HypercallInspection } from './hypercall-counters.ts'
import { VpDispatch, VpReport } from './dispatch-state.ts'
import { HYPERCALL_UNDEFINED_OPCODE, HypercallDispatch } from './hypercalls.ts'
import { MsrFile } from './msr-file.ts'
import { InterceptSlot } from './intercepts/intercept-slot.ts'
import { InterceptUnit } from './intercepts/intercept-unit.ts'
import { hasInterrupts, takeInterrupts } from './interrupt-inbox.ts'
import { VpOverlays } from './overlays/vp-overlays.ts'
import { CALL_GENERATION, REQUEST_TIME, vpBlock } from './partition-page.ts'
import { PartitionRegisters } from './partition-registers.ts'
import type { MsrValue } from './msr-value.ts'
import { Siblings } from './siblings.ts'
import type { Translations } from './siblings.ts'
import { announce } from './synic/event-flags.ts'
import { Synic } from './synic/synic.ts'
import type { MsrRegisters } from './synthetic-msrs.ts'
import { ReferenceClock } from './time/reference-clock.ts'
import { SyntheticTimers } from './time/synthetic-timers.ts'
import { traceAnswer, traceInterrupt } from './vp-trace.ts'
import { VpAssist } from './vp-assist.ts'
import { VP_CALLS } from './vp-calls.ts'
import type { HypercallCapabilities } from './vp-calls.ts'
import {
  ENDED_VECTORS,
  OUTBOX_CRASH,
  OUTBOX_ENDED,
  OUTBOX_RESET,
  PING,
  PONG,
  SUSPEND,
  VP_COUNTERS,
  VP_PAGE_BYTES,
} from './vp-page.ts'

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
  /** Doorbells of the partition's VPs, in their order. Siblings that are not rung see an interrupt at their next poll. */
  readonly wakeVps?: readonly Wake[]
  /** Where this VP's guest code caches translations; left out when it does not. */
  readonly translations?: Translations
  /** 100 ns that this VP has run, by whoever accounts for it; left out: the time that it had a processor. */
  readonly runtime100ns?: () => number
}

/** How old what the root sees of a VP's counters may be while the VP runs on: 5 ms. */
const COUNTERS_EVERY_100NS = 50_000

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
  readonly #grant: VpDispatch
  readonly #partitionPage: Int32Array
  /** First word of this VP's block there. */
  readonly #block: number
  readonly #intercept: InterceptSlot
  readonly #slat: SlatReader
  readonly #overlays: VpOverlays
  readonly #siblings: Siblings
  readonly #clock: ReferenceClock
  readonly #timers: SyntheticTimers
  readonly #assist: VpAssist
  readonly #icr: MsrValue = { low: 0, high: 0 }
  /** The guest reads GUEST_IDLE and waits. */
  #idle = false
  /** The generation for which `#callsReach` and the caller's copies are good. */
  #generation = -1
  #callsReach = false
  #pong = 0
  #hypercalls = 0
  #spinsSeen = 0
  #published100ns = 0
  /** It halted because it was suspended: it has work when it no longer is. */
  #haltedSuspended = false

  /** Throws a RangeError for handles whose buffers are too small: they come from our own `handlesFor`. */
  constructor(handles: VpHandles, options: VirtualProcessorOptions) {
    const { memory, wakeRoot } = options
    const { vpIndex, vpCount } = handles
    this.#handles = handles
    this.#page = new Int32Array(handles.vpPage, 0, VP_PAGE_BYTES / 4)
    this.#partitionPage = new Int32Array(handles.partitionPage)
    this.#block = vpBlock(vpIndex)
    this.#intercept = new InterceptSlot(this.#page)
    this.#trace = options.trace ?? null
    this.#wakeRoot = wakeRoot
    this.#grant = new VpDispatch(this.#page, wakeRoot)
    this.#clock = new ReferenceClock(options.clock, handles.createdAt100ns, handles.partitionPage)
    this.#slat = new SlatReader(handles.slat)
    this.#overlays = new VpOverlays(this.#partitionPage, vpIndex, memory, handles.slat)
    this.#siblings = new Siblings({
      page: this.#partitionPage,
      vp: vpIndex,
      vpCount,
      apic: this.#apic,
      wakes: options.wakeVps ?? [],
      translations: options.translations ?? null,
    })
    this.#caller = new Caller(
      handles.partitionId,
      vpIndex,
      vpCount,
      this.#partitionPage,
      this.#page,
      wakeRoot,
      this.#siblings,
    )
    this.#caller.trace = this.#trace
    this.#intercept.trace = this.#trace
    this.#dispatch = new HypercallDispatch(
      VP_CALLS,
      handles.privileges,
      memory,
      this.#caller,
      this.#slat,
    )
    this.#synic = new Synic(this.#page, memory, this.#apic, this.#overlays.sim, this.#overlays.sief)
    this.#timers = new SyntheticTimers(this.#clock, this.#apic, this.#synic)
    this.#timers.trace = this.#trace
    this.#assist = new VpAssist(memory, this.#overlays.assist)
    this.#partition = new PartitionRegisters(
      handles.partitionPage,
      memory,
      this.#overlays.partition,
      this.#clock,
    )
    this.#msrs = new MsrFile(handles.privileges, this.#registers(options))
    this.#cpuid = new CpuidLeaves(handles, () => this.#partition.showsInvariantTsc)
    this.intercepts = this.#interceptUnit(options)
  }

  /** Hypercalls made so far. */
  get hypercallCount(): number {
    return this.#hypercalls
  }

  get partitionId(): number {
    return this.#handles.partitionId
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
    if (this.#overlays.takeChange()) this.#settleOverlays()
    this.#wakeRootForSpace()
    return accepted
  }

  /** RDTSC: ticks of the TSC since the machine started, which the reference TSC page turns into reference time. */
  readTsc(out: MsrValue): void {
    this.#clock.readTsc(out)
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
    const before = this.#trace.begin(TraceKind.HYPERCALL, inLow & 0xffff, p0Low)
    const status = this.#dispatch.call(inLow, inHigh, p0Low, p0High, p1Low, p1High)
    traceAnswer(this.#trace, before, inLow & 0xffff, status)
    return status
  }

  /** As `hypercall`, by a processor that gives its XMM registers: see HypercallDispatch.callWithRegisters. */
  hypercallWithRegisters(inLow: number, inHigh: number, registers: Int32Array): number {
    const generation = Atomics.load(this.#partitionPage, CALL_GENERATION)
    if (generation !== this.#generation) this.#refresh(generation)
    if (!this.#callsReach) return HYPERCALL_UNDEFINED_OPCODE
    this.#hypercalls++
    if (this.#trace === null) return this.#dispatch.callWithRegisters(inLow, inHigh, registers)
    const before = this.#trace.begin(TraceKind.HYPERCALL, inLow & 0xffff, registers[0])
    const status = this.#dispatch.callWithRegisters(inLow, inHigh, registers)
    traceAnswer(this.#trace, before, inLow & 0xffff, status)
    return status
  }

  /**
   * On the way into the guest: messages and event flags reach the SIM and SIEF pages, requests of other threads the APIC, timers
   * that are due fire, a ping is answered. The highest vector the processor would take (NMI_VECTOR for an NMI), or -1, as also while
   * the VP is suspended. Three loads when there is nothing new.
   */
  deliver(): number {
    if (this.#assist.takeEnd()) this.#end()
    const summary = takeInterrupts(this.#partitionPage, this.#block, this.#apic)
    if ((summary & REQUEST_TIME) !== 0) this.#partition.refreshReferenceTsc()
    if (this.#overlays.isWaiting && this.#overlays.takeChange()) this.#settleOverlays()
    this.#synic.deliver()
    this.#timers.poll()
    this.#timers.retry()
    this.pingPending()
    this.#wakeRootForSpace()
    if (this.#apic.hasRequest) {
      this.#idle = false
      if (this.#assist.withdraw()) this.#end()
    }
    return this.#intercept.settle() ? this.#apic.highest() : -1
  }

  /** True when `deliver` would find something new or an interrupt is waiting to be taken. */
  get hasWork(): boolean {
    return (
      this.#synic.hasWork ||
      hasInterrupts(this.#partitionPage, this.#block) ||
      Atomics.load(this.#page, PING) !== this.#pong ||
      this.#timers.isDue ||
      (this.#intercept.isOpen ? this.#intercept.settle() : this.#apic.highest() >= 0) ||
      (this.#haltedSuspended && this.#grant.isHalted && !this.isSuspended)
    )
  }

  /**
   * When `deliver` has something to do though nobody rings: 100 ns units of the clock that was handed in, or Infinity. The engine
   * may sleep until then.
   */
  get nextDeadline100ns(): number {
    return this.#timers.nextDeadline100ns
  }

  /** The processor takes a vector that `deliver` returned. False when it was not requested. */
  acknowledge(vector: number): boolean {
    if (this.#trace !== null) {
      traceInterrupt(this.#trace, this.#handles.partitionId, this.#handles.vpIndex, vector)
    }
    if (!this.#apic.acknowledge(vector)) return false
    this.#caller.interruptsTaken++
    if (vector !== NMI_VECTOR && this.#assist.isOn && this.#apic.endIsPlain) this.#assist.offer()
    return true
  }

  /** EOI of the highest vector in service, as by the APIC's own register. Messages that waited are tried again. */
  endOfInterrupt(): void {
    if (this.#assist.withdraw()) this.#end()
    this.#end()
  }

  /** True from a read of GUEST_IDLE until `deliver` finds any interrupt requested, of whatever priority. */
  get isIdle(): boolean {
    return this.#idle
  }

  /**
   * The state that this VP is started with by a sibling: 56 words of HV_INITIAL_VP_CONTEXT into `out`. True once. VP 0 is
   * started by its creation.
   */
  takeStart(out: Int32Array): boolean {
    return this.#siblings.takeStart(out)
  }

  /** The guest returned from the handler of an NMI. */
  returnFromNmi(): void {
    this.#apic.returnFromNmi()
  }

  /** True while no guest code may run: for an intercept that is not answered, or because the root suspended the VP. */
  get isSuspended(): boolean {
    return Atomics.load(this.#page, SUSPEND) !== 0 || !this.#intercept.settle()
  }

  /** The logical processor on which this VP may run guest code now, or -1: then it must not. An exit; HOT. */
  grantedLp(): number {
    const now = this.#clock.machine100ns
    const lp = this.#grant.exit()
    this.#grant.account(now)
    if (now - this.#published100ns >= COUNTERS_EVERY_100NS) {
      this.#published100ns = now
      this.publishCounters()
    }
    if (Atomics.load(this.#page, SUSPEND) === 0) return lp
    // A suspended VP holds no processor up.
    if (lp >= 0) this.halt()
    return -1
  }

  /** HLT: there is nothing to do. The processor is given up, if the scheduler wants it back. */
  halt(): void {
    this.#haltedSuspended = this.isSuspended
    this.publishCounters()
    this.#grant.giveUp(VpReport.HALTED)
  }

  /** True after `halt` until `announceReady`: interrupts and the guest's own timers are to wake it. */
  get isHalted(): boolean {
    return this.#grant.isHalted
  }

  /** A halted VP has work: it wants a processor. */
  announceReady(): void {
    this.#grant.announceReady()
  }

  /** After a hypercall that told of a long spin wait: gives the processor up, so that whoever holds the lock may run. */
  yieldAfterSpin(): void {
    const spins = this.#caller.longSpinWaits
    if (spins === this.#spinsSeen) return
    this.#spinsSeen = spins
    this.#grant.giveUp(VpReport.YIELDED)
  }

  /** Lets the root see what this VP counted. */
  publishCounters(): void {
    Atomics.store(this.#page, VP_COUNTERS, this.#hypercalls)
    Atomics.store(this.#page, VP_COUNTERS + 1, this.#caller.interruptsTaken)
  }

  /** Answers the host's ping, and siblings' flushes. `deliver` does; a guest that stays away from `deliver` may. */
  pingPending(): void {
    this.#siblings.answerFlushes()
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
      interruptsTaken: this.#caller.interruptsTaken,
      interruptsSent: this.#siblings.interruptsSent,
      assistedEnds: this.#assist.ended,
      intercepts: this.#intercept.count,
      flushes: this.#siblings.flushes,
      timers: this.#timers.inspect(),
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
    const runtime =
      options.runtime100ns ?? (() => this.#grant.runtimeAt(this.#clock.readMachine100ns()))
    return {
      vpIndex: this.#handles.vpIndex,
      partition: this.#partition,
      synic: this.#synic,
      apic: this.#apic,
      clock: this.#clock,
      timers: this.#timers,
      assist: this.#assist,
      get runtime100ns() {
        return runtime()
      },
      readIcr: (out) => {
        out.low = this.#icr.low
        out.high = this.#icr.high
      },
      writeIcr: (low, high) => this.#writeIcr(low, high),
      endOfInterrupt: () => this.endOfInterrupt(),
      endOfMessage: () => this.#scanMessages(),
      idle: () => {
        this.#idle = !this.#apic.hasRequest
      },
      reportCrash: () => this.#announce(OUTBOX_CRASH),
      requestReset: () => this.#announce(OUTBOX_RESET),
    }
  }

  #interceptUnit(options: VirtualProcessorOptions): InterceptUnit {
    return new InterceptUnit({
      vpIndex: this.vpIndex,
      slot: this.#intercept,
      partitionPage: this.#partitionPage,
      memory: options.memory,
      slat: this.#slat,
      wakeRoot: options.wakeRoot,
      readMsr: (msr, out) => this.readMsr(msr, out),
      writeMsr: (msr, low, high) => this.writeMsr(msr, low, high),
      cpuid: (leaf, out) => this.#cpuid.read(leaf, out),
    })
  }

  #writeIcr(low: number, high: number): boolean {
    if (!this.#siblings.writeIcr(low, high)) return false
    this.#icr.low = Siblings.readableIcr(low)
    this.#icr.high = high >>> 0
    return true
  }

  /** An EOI, by whatever way the guest said it. */
  #end(): void {
    const vector = this.#apic.endOfInterrupt()
    if (vector >= 0 && this.#apic.isLevel(vector)) this.#announceEnded(vector)
    this.#scanMessages()
    this.#wakeRootForSpace()
  }

  /** A slot may have become free. */
  #scanMessages(): void {
    this.#synic.scanMessages()
    this.#timers.retry()
  }

  /** An overlay has left its page: another may be seen there now. */
  #settleOverlays(): void {
    this.#overlays.settle()
    this.#partition.settleOverlays()
  }

  /** A line may still be asserted: the root looks. */
  #announceEnded(vector: number): void {
    const bit = 1 << (vector & 31)
    // ORDER: vector, then summary; the root takes them the other way round.
    Atomics.or(this.#page, ENDED_VECTORS + (vector >>> 5), bit)
    this.#announce(OUTBOX_ENDED)
  }

  #announce(bit: number): void {
    if (announce(this.#page, bit)) this.#wakeRoot.ring()
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
  readonly interruptsTaken: number
  /** To siblings and to itself. */
  readonly interruptsSent: number
  /** EOIs that needed no exit. */
  readonly assistedEnds: number
  readonly intercepts: number
  /** Times that cached translations were flushed. */
  readonly flushes: number
  readonly timers: ReturnType<SyntheticTimers['inspect']>
  readonly apic: ReturnType<LocalApic['inspect']>
}
