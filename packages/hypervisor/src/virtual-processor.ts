// HOT
// A virtual processor, as its own thread meets it: CPUID, MSRs, hypercalls and the interrupts that wait for it. Made from
// the handles that the root's `Hypervisor.handlesFor` gave, on the thread that runs the guest; nobody else may use it.
//
//   run guest code -> deliver() -> a vector? -> acknowledge(vector) -> guest's handler -> EOI MSR -> ...

import { SlatReader } from '@guestyard/guestmem'
import type { Trace } from '@guestyard/trace'

import { LocalApic, NMI_VECTOR } from './apic.ts'
import { Caller } from './caller.ts'
import { CpuidLeaves } from './cpuid-leaves.ts'
import type { CpuidResult } from './cpuid-leaves.ts'
import { EndOfInterrupt } from './end-of-interrupt.ts'
import { HypercallGate } from './hypercall-gate.ts'
import { HypercallDispatch } from './hypercalls.ts'
import { InterceptSlot } from './intercepts/intercept-slot.ts'
import { InterceptUnit } from './intercepts/intercept-unit.ts'
import { hasInterrupts, takeInterrupts } from './interrupt-inbox.ts'
import { MsrFile } from './msr-file.ts'
import type { MsrValue } from './msr-value.ts'
import { VpOverlays } from './overlays/vp-overlays.ts'
import { REQUEST_TIME, vpBlock } from './partition-page.ts'
import { PartitionRegisters } from './partition-registers.ts'
import { Siblings } from './siblings.ts'
import { announce } from './synic/event-flags.ts'
import { Synic } from './synic/synic.ts'
import { restoreVp, saveVp } from './saved-state.ts'
import type { SavedVp, SavedVpParts } from './saved-state.ts'
import type { MsrRegisters } from './synthetic-msrs.ts'
import { ReferenceClock } from './time/reference-clock.ts'
import { SyntheticTimers } from './time/synthetic-timers.ts'
import { VpAssist } from './vp-assist.ts'
import { VP_CALLS } from './vp-calls.ts'
import type { HypercallCapabilities } from './vp-calls.ts'
import type { VirtualProcessorOptions, VpHandles } from './vp-handles.ts'
import type { VpInspection } from './vp-inspection.ts'
import { INBOX_SUMMARY, OUTBOX_CRASH, OUTBOX_RESET, PING, PONG, VP_PAGE_BYTES } from './vp-page.ts'
import { VpRunState } from './vp-run-state.ts'
import { traceInterrupt } from './vp-trace.ts'
import type { Wake } from './wake.ts'

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
  readonly #gate: HypercallGate
  readonly #run: VpRunState
  readonly #ends: EndOfInterrupt
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
  #pong = 0

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
    this.#gate = new HypercallGate({
      dispatch: this.#dispatch,
      caller: this.#caller,
      partition: this.#partition,
      partitionPage: this.#partitionPage,
      trace: this.#trace,
    })
    this.#run = new VpRunState({
      page: this.#page,
      wakeRoot,
      clock: this.#clock,
      intercept: this.#intercept,
      gate: this.#gate,
      caller: this.#caller,
    })
    this.#ends = this.#endOfInterrupt(wakeRoot)
    this.#msrs = new MsrFile(handles.privileges, this.#registers(options))
    this.#cpuid = new CpuidLeaves(handles, () => this.#partition.showsInvariantTsc)
    this.intercepts = this.#interceptUnit(options)
  }

  /** Hypercalls made so far. */
  get hypercallCount(): number {
    return this.#gate.count
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
    this.#ends.wakeRootForSpace()
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
    return this.#gate.call(inLow, inHigh, p0Low, p0High, p1Low, p1High)
  }

  /** As `hypercall`, by a processor that gives its XMM registers: see HypercallDispatch.callWithRegisters. */
  hypercallWithRegisters(inLow: number, inHigh: number, registers: Int32Array): number {
    return this.#gate.callWithRegisters(inLow, inHigh, registers)
  }

  /**
   * On the way into the guest: messages and event flags reach the SIM and SIEF pages, requests of other threads the APIC, timers
   * that are due fire, a ping is answered. The highest vector the processor would take (NMI_VECTOR for an NMI), or -1, as also while
   * the VP is suspended. Three loads when there is nothing new.
   */
  deliver(): number {
    this.#ends.takeAssisted()
    const summary = takeInterrupts(this.#partitionPage, this.#block, this.#apic)
    if ((summary & REQUEST_TIME) !== 0) this.#partition.refreshReferenceTsc()
    if (this.#overlays.isWaiting && this.#overlays.takeChange()) this.#settleOverlays()
    this.#synic.deliver()
    this.#timers.poll()
    this.#timers.retry()
    this.pingPending()
    this.#ends.wakeRootForSpace()
    if (this.#apic.hasRequest) {
      this.#idle = false
      this.#ends.withdrawAssist()
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
      this.#run.isReleased
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
    if (vector !== NMI_VECTOR) this.#ends.offerAssist()
    return true
  }

  /** EOI of the highest vector in service, as by the APIC's own register. Messages that waited are tried again. */
  endOfInterrupt(): void {
    this.#ends.end()
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
    return this.#run.isSuspended
  }

  /** The logical processor on which this VP may run guest code now, or -1: then it must not. An exit; HOT. */
  grantedLp(): number {
    return this.#run.grantedLp()
  }

  /** HLT: there is nothing to do. The processor is given up, if the scheduler wants it back. */
  halt(): void {
    this.#run.halt()
  }

  /** True after `halt` until `announceReady`: interrupts and the guest's own timers are to wake it. */
  get isHalted(): boolean {
    return this.#run.isHalted
  }

  /** A halted VP has work: it wants a processor. */
  announceReady(): void {
    this.#run.announceReady()
  }

  /** After a hypercall that told of a long spin wait: gives the processor up, so that whoever holds the lock may run. */
  yieldAfterSpin(): void {
    this.#run.yieldAfterSpin()
  }

  /** Lets the root see what this VP counted. */
  publishCounters(): void {
    this.#run.publishCounters()
  }

  /** Answers the host's ping, and siblings' flushes. `deliver` does; a guest that stays away from `deliver` may. */
  pingPending(): void {
    this.#siblings.answerFlushes()
    const ping = Atomics.load(this.#page, PING)
    if (ping === this.#pong) return
    this.#pong = ping
    Atomics.store(this.#page, PONG, ping)
  }

  /**
   * What this VP is, beside RAM: see saved-state.ts. Null while something is on its way into the guest, which then has to run a
   * little. Between two runs of guest code.
   */
  save(): SavedVp | null {
    return saveVp(this.#savedParts())
  }

  /** Takes over what `save` said, once, before any guest code runs; RAM is as it was saved. False: it is none of this partition's. */
  restore(saved: SavedVp): boolean {
    return restoreVp(this.#savedParts(), saved)
  }

  /** Plain data about this VP. */
  inspect(): VpInspection {
    return {
      partitionId: this.#handles.partitionId,
      vpIndex: this.#handles.vpIndex,
      hypercalls: this.#gate.count,
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

  #registers(options: VirtualProcessorOptions): MsrRegisters {
    const runtime = options.runtime100ns ?? (() => this.#run.runtime100ns)
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
      endOfMessage: () => this.#ends.scanMessages(),
      idle: () => {
        this.#idle = !this.#apic.hasRequest
      },
      reportCrash: () => this.#announce(OUTBOX_CRASH),
      requestReset: () => this.#announce(OUTBOX_RESET),
    }
  }

  #endOfInterrupt(wakeRoot: Wake): EndOfInterrupt {
    return new EndOfInterrupt({
      page: this.#page,
      apic: this.#apic,
      synic: this.#synic,
      timers: this.#timers,
      assist: this.#assist,
      wakeRoot,
    })
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

  #savedParts(): SavedVpParts {
    return {
      apic: this.#apic,
      synic: this.#synic,
      timers: this.#timers,
      assist: this.#assist,
      partition: this.#partition,
      intercept: this.#intercept,
      overlays: this.#overlays,
      hasInterrupts: hasInterrupts(this.#partitionPage, this.#block),
      inbox: Atomics.load(this.#page, INBOX_SUMMARY),
      readMsr: (msr, out) => this.readMsr(msr, out),
      writeMsr: (msr, low, high) => this.writeMsr(msr, low, high),
    }
  }

  /** An overlay has left its page: another may be seen there now. */
  #settleOverlays(): void {
    this.#overlays.settle()
    this.#partition.settleOverlays()
  }

  #announce(bit: number): void {
    if (announce(this.#page, bit)) this.#wakeRoot.ring()
  }
}
