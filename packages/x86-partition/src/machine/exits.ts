// HOT
// What leaves the guest's code, answered by the hypervisor: CPUID, MSRs, hypercalls; and on the way back into it, the interrupts.
//
//   hypervisor's APIC (vp)   requests of SINTs, timers, hypercalls: edge-triggered, ended here as they are handed on
//   processor's APIC         the one that the guest programs: priorities, in service, EOI

import { CRASH_NOTIFY_HIGH, HvStatus, SyntheticMsr } from '@guestyard/hvdef'
import { HYPERCALL_CONTINUED, NMI_VECTOR, type VirtualProcessor } from '@guestyard/hypervisor/vp'
import type { Clock, CpuidResult } from '@guestyard/hypervisor'

import type { MsrExit, ProcessorExits } from '../processor/processor.ts'
import { PortDevices, type AccessBytes, type PortDevice } from '../processor/ports.ts'
import { Reg } from '../processor/v86-contract.ts'
import type { StartRequests } from './start-requests.ts'

/** Leaf 1, ECX bit 31: software runs under a hypervisor. */
const HYPERVISOR_PRESENT = 0x8000_0000 | 0
const LEAF_FEATURES = 1
const HYPERVISOR_LEAVES = 0x4000_0000
const HYPERVISOR_LEAVES_END = 0x4001_0000
const SYNTHETIC_MSRS = 0x4000_0000
const SYNTHETIC_MSRS_END = 0x4000_0200
const MSR_APIC_FREQUENCY = 0x4000_0023
/** IA32_TIME_STAMP_COUNTER. The machine's clock is not the guest's to set. */
const MSR_TSC = 0x10
/** The ICR of an APIC in x2APIC mode: its upper half is the destination. */
const MSR_X2APIC_ICR = 0x830
/** What the processor's own APIC timer counts, before it divides. */
const PROCESSOR_APIC_HZ = 1_000_000_000

/** What the hypercall page writes to: see the hypervisor's `partition-registers.ts`. */
const HYPERCALL_PORT = 0xee
/** More than any rep call of 4095 elements needs. */
const CONTINUED_TRIES = 1024

/** Interrupts handed on at one entry: bounded by what can be requested. */
const VECTORS_MAX = 256

/** The part of a processor that exits use. */
export interface ExitingProcessor {
  readonly registers: Int32Array
  raise(vector: number): void
  answerOwnCpuid(): void
}

/** VP's thread only. */
export class MachineExits implements ProcessorExits {
  /** Set before guest code runs. */
  processor: ExitingProcessor | null = null
  /** MSRs that the guest was refused, and the last one. */
  refusedMsrs = 0
  lastRefusedMsr = 0
  /** The guest has reported a crash. */
  hasCrashed = false
  /** Interrupts handed on. */
  interrupts = 0
  readonly ports: PortDevice
  /** Of the ICR's upper half, as it was last written. */
  #destination = 0
  readonly #vp: VirtualProcessor
  readonly #clock: Clock
  readonly #cpuid: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 }

  readonly #starts: StartRequests
  readonly #isPresent: boolean

  /** `isPresent`: false where CPUID and MSRs know of no hypervisor. */
  constructor(
    vp: VirtualProcessor,
    clock: Clock,
    devices: PortDevice,
    starts: StartRequests,
    isPresent: boolean,
  ) {
    this.#starts = starts
    this.#isPresent = isPresent
    this.#vp = vp
    this.#clock = clock
    this.ports = new PortDevices([new HypercallPort(() => this.#hypercall()), devices])
  }

  cpuid(): boolean {
    const { registers } = this.processor!
    const leaf = registers[Reg.EAX]! >>> 0
    if (leaf === LEAF_FEATURES) {
      this.processor!.answerOwnCpuid()
      if (this.#isPresent) registers[Reg.ECX]! |= HYPERVISOR_PRESENT
      else registers[Reg.ECX]! &= ~HYPERVISOR_PRESENT
      return true
    }
    if (leaf < HYPERVISOR_LEAVES || leaf >= HYPERVISOR_LEAVES_END) return false
    if (!this.#isPresent) {
      for (const register of [Reg.EAX, Reg.EBX, Reg.ECX, Reg.EDX]) registers[register] = 0
      return true
    }
    const answer = this.#cpuid
    this.#vp.cpuid(leaf, registers[Reg.ECX]!, answer)
    registers[Reg.EAX] = answer.eax
    registers[Reg.EBX] = answer.ebx
    registers[Reg.ECX] = answer.ecx
    registers[Reg.EDX] = answer.edx
    return true
  }

  readMsr(): MsrExit {
    const { registers } = this.processor!
    const msr = registers[Reg.ECX]! >>> 0
    const { msr: value } = this.#vp
    this.#clock.update?.()
    if (msr === MSR_TSC) this.#vp.readTsc(value)
    else if (msr < SYNTHETIC_MSRS || msr >= SYNTHETIC_MSRS_END) return 'own'
    else if (!this.#isPresent || !this.#vp.readMsr(msr, value)) return this.#refuse(msr)
    registers[Reg.EAX] = msr === MSR_APIC_FREQUENCY ? PROCESSOR_APIC_HZ : value.low
    registers[Reg.EDX] = value.high
    return 'done'
  }

  writeMsr(): MsrExit {
    const { registers } = this.processor!
    const msr = registers[Reg.ECX]! >>> 0
    if (msr === MSR_TSC) return 'done'
    if (msr === MSR_X2APIC_ICR) {
      this.#starts.command(registers[Reg.EAX]!, registers[Reg.EDX]! >>> 0)
      return 'own'
    }
    if (msr < SYNTHETIC_MSRS || msr >= SYNTHETIC_MSRS_END) return 'own'
    if (!this.#isPresent) return this.#refuse(msr)
    this.#clock.update?.()
    const high = registers[Reg.EDX]! >>> 0
    const accepted = this.#vp.writeMsr(msr, registers[Reg.EAX]! >>> 0, high)
    if (msr === SyntheticMsr.CRASH_CTL && (high & CRASH_NOTIFY_HIGH) !== 0) this.hasCrashed = true
    return accepted ? 'done' : this.#refuse(msr)
  }

  commandInterrupt(isHigh: boolean, value: number): void {
    if (isHigh) this.#destination = value >>> 24
    else this.#starts.command(value, this.#destination)
  }

  enter(): void {
    const vp = this.#vp
    this.#clock.update?.()
    let vector = vp.deliver()
    for (let taken = 0; vector >= 0 && taken < VECTORS_MAX; taken += 1) {
      vp.acknowledge(vector)
      if (vector === NMI_VECTOR) {
        // The processor package has no NMI: it is as if its handler had returned at once.
        vp.returnFromNmi()
      } else {
        this.processor!.raise(vector)
        this.interrupts += 1
        vp.endOfInterrupt()
      }
      vector = vp.deliver()
    }
  }

  /** The 32-bit convention (TLFS, "Hypercall Inputs"): EDX:EAX the call, EBX:ECX and EDI:ESI its parameters, EDX:EAX its result. */
  #hypercall(): void {
    const { registers } = this.processor!
    const inLow = registers[Reg.EAX]! >>> 0
    let inHigh = registers[Reg.EDX]! >>> 0
    let outcome = HYPERCALL_CONTINUED as number
    for (let tries = 0; outcome === HYPERCALL_CONTINUED && tries < CONTINUED_TRIES; tries += 1) {
      outcome = this.#vp.hypercall(
        inLow,
        inHigh,
        registers[Reg.ECX]! >>> 0,
        registers[Reg.EBX]! >>> 0,
        registers[Reg.ESI]! >>> 0,
        registers[Reg.EDI]! >>> 0,
      )
      inHigh = this.#vp.continuedHigh
    }
    // `out` can raise no #UD: a call through a page that is not enabled is answered as one that does not exist.
    registers[Reg.EAX] = outcome < 0 ? HvStatus.INVALID_HYPERCALL_CODE : outcome
    registers[Reg.EDX] = this.#vp.repsCompleted
  }

  #refuse(msr: number): MsrExit {
    this.refusedMsrs += 1
    this.lastRefusedMsr = msr
    return 'fault'
  }
}

/** `out 0xee, al` in the hypercall page. */
class HypercallPort implements PortDevice {
  readonly #call: () => void

  constructor(call: () => void) {
    this.#call = call
  }

  read(_port: number, _bytes: AccessBytes): number | undefined {
    return undefined
  }

  write(port: number, _value: number, bytes: AccessBytes): boolean {
    if (port !== HYPERCALL_PORT || bytes !== 1) return false
    this.#call()
    return true
  }
}
