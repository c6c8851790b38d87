// What a VP does on an access that its own processor can't finish: it composes the message, suspends itself, and once the owner has
// answered, gives the result to whoever runs the guest. Polls only: `state` says whether the answer is there.
//
//   begin… -> 'done'        nobody intercepts it: the result is what the bare machine answers (a port nobody drives: all ones)
//             'fault'       the guest gets the exception in `exception`
//             'suspended'   no guest code runs until `state` is 'answered' and `finish` took the result

import {
  CpuidIntercept,
  HvInterceptAccess,
  HvMessageAccess,
  HvMessageHeader,
  HvMessageType,
  IoPortIntercept,
  MemoryIntercept,
  MsrIntercept,
  PAGE_SIZE,
} from '@guestyard/hvdef'
import { SlatKind, SlatRight, slatKind } from '@guestyard/guestmem'
import type { GuestMemory, SlatReader } from '@guestyard/guestmem'

import type { Wake } from '../wake.ts'
import type { CpuidResult } from '../cpuid-leaves.ts'
import type { MsrValue } from '../msr-value.ts'
import { MESSAGE_WORDS } from '../vp-page.ts'
import { interceptsLeaf, interceptsMsr, interceptsPort } from './intercept-masks.ts'
import { InterceptRegister } from './intercept-slot.ts'
import type { InterceptSlot } from './intercept-slot.ts'

/** How a begun access stands. */
export type InterceptOutcome = 'done' | 'fault' | 'suspended'
/** Bytes of an access. */
export type AccessSize = 1 | 2 | 4 | 8

/** Exception vector of a general protection fault. */
export const GENERAL_PROTECTION = 13

const PAYLOAD = HvMessageHeader.size
const HEADER = IoPortIntercept.at.header + PAYLOAD
const PORT = IoPortIntercept.at
const MEMORY = MemoryIntercept.at
const MSR = MsrIntercept.at
const CPUID = CpuidIntercept.at
/** Offsets in the common header: VP, length of the instruction, access. */
const [VP_INDEX, LENGTH, ACCESS] = [HEADER, HEADER + 4, HEADER + 5]
/** Protected mode, long mode, CPL 0: what a script guest's code counts as. */
const EXECUTION_STATE = 0x14
const STATE = HEADER + 6

/** `mov eax, [rbx]` and `mov [rbx], eax` by size: what a script guest's access to memory counts as. */
const LOADS: Readonly<Record<AccessSize, readonly number[]>> = {
  1: [0x8a, 0x03],
  2: [0x66, 0x8b, 0x03],
  4: [0x8b, 0x03],
  8: [0x48, 0x8b, 0x03],
}
const STORES: Readonly<Record<AccessSize, readonly number[]>> = {
  1: [0x88, 0x03],
  2: [0x66, 0x89, 0x03],
  4: [0x89, 0x03],
  8: [0x48, 0x89, 0x03],
}

type Access = 'none' | 'port-in' | 'write' | 'memory-read' | 'msr-read' | 'cpuid'

/** What it needs of its VP. */
export interface InterceptVp {
  readonly vpIndex: number
  readonly slot: InterceptSlot
  readonly partitionPage: Int32Array
  readonly memory: GuestMemory
  readonly slat: SlatReader
  readonly wakeRoot: Wake
  readMsr(msr: number, out: MsrValue): boolean
  writeMsr(msr: number, low: number, high: number): boolean
  cpuid(leaf: number, out: CpuidResult): void
}

/** VP's thread only. */
export class InterceptUnit {
  /** Result of the latest read, u32 halves: of a port or MMIO access only as many bytes as it had. */
  readonly value: MsrValue = { low: 0, high: 0 }
  /** Result of the latest CPUID. */
  readonly leaf: CpuidResult = { eax: 0, ebx: 0, ecx: 0, edx: 0 }
  /** Exception of the latest access that was a 'fault', or -1. */
  exception = -1
  readonly #vp: InterceptVp
  readonly #words: Int32Array = new Int32Array(MESSAGE_WORDS)
  readonly #view: DataView = new DataView(this.#words.buffer)
  #access: Access = 'none'
  #size: AccessSize = 4

  constructor(vp: InterceptVp) {
    this.#vp = vp
  }

  /** 'none': nothing was begun. 'answered': `finish` takes the result. */
  get state(): 'none' | 'suspended' | 'answered' {
    if (this.#access === 'none') return 'none'
    return this.#vp.slot.settle() ? 'answered' : 'suspended'
  }

  /** IN of `size` bytes from a port. The result is in `value`. */
  beginPortIn(port: number, size: 1 | 2 | 4): InterceptOutcome {
    setMasked(this.value, 0xffff_ffff, 0, size)
    if (!interceptsPort(this.#vp.partitionPage, port, HvInterceptAccess.READ)) return 'done'
    this.#compose(HvMessageType.X64_IO_PORT_INTERCEPT, IoPortIntercept.size, HvMessageAccess.READ)
    this.#composePort(port, size, 0)
    return this.#raise('port-in', size)
  }

  /** OUT of `size` bytes to a port. */
  beginPortOut(port: number, size: 1 | 2 | 4, value: number): InterceptOutcome {
    if (!interceptsPort(this.#vp.partitionPage, port, HvInterceptAccess.WRITE)) return 'done'
    this.#compose(HvMessageType.X64_IO_PORT_INTERCEPT, IoPortIntercept.size, HvMessageAccess.WRITE)
    this.#composePort(port, size, value)
    this.#vp.slot.setRegister(InterceptRegister.RAX, value, 0)
    return this.#raise('write', size)
  }

  /**
   * A load of `size` bytes at a GPA. RAM that may be read is read at once; device registers, pages without the right and pages where there is
   * nothing are the parent's. The result is in `value`.
   */
  beginMemoryRead(gpa: number, size: AccessSize): InterceptOutcome {
    const at = this.#ramAddress(gpa, size, SlatRight.READ)
    if (at >= 0) {
      const { view } = this.#vp.memory
      const low = size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at, true) : 0
      setMasked(this.value, size < 4 ? low : view.getUint32(at, true), 0, size)
      if (size === 8) this.value.high = view.getUint32(at + 4, true)
      return 'done'
    }
    setMasked(this.value, 0xffff_ffff, 0xffff_ffff, size)
    this.#composeMemory(gpa, HvMessageAccess.READ, LOADS[size])
    return this.#raise('memory-read', size)
  }

  /** A store of `size` bytes at a GPA, likewise. */
  beginMemoryWrite(gpa: number, size: AccessSize, low: number, high: number): InterceptOutcome {
    const at = this.#ramAddress(gpa, size, SlatRight.WRITE)
    if (at >= 0) {
      const { view } = this.#vp.memory
      if (size === 1) view.setUint8(at, low)
      else if (size === 2) view.setUint16(at, low, true)
      else view.setUint32(at, low, true)
      if (size === 8) view.setUint32(at + 4, high, true)
      return 'done'
    }
    this.#composeMemory(gpa, HvMessageAccess.WRITE, STORES[size])
    this.#vp.slot.setRegister(InterceptRegister.RAX, low, high)
    return this.#raise('write', size)
  }

  /** RDMSR. What the hypervisor has no row for goes to the parent, if it asked; else it is #GP. */
  beginMsrRead(msr: number): InterceptOutcome {
    if (this.#vp.readMsr(msr, this.value)) return 'done'
    if (!interceptsMsr(this.#vp.partitionPage, HvInterceptAccess.READ)) return this.#fault()
    setMasked(this.value, 0, 0, 8)
    this.#composeMsr(msr, HvMessageAccess.READ, 0, 0)
    return this.#raise('msr-read', 8)
  }

  /** WRMSR, likewise. */
  beginMsrWrite(msr: number, low: number, high: number): InterceptOutcome {
    if (this.#vp.writeMsr(msr, low, high)) return 'done'
    if (!interceptsMsr(this.#vp.partitionPage, HvInterceptAccess.WRITE)) return this.#fault()
    this.#composeMsr(msr, HvMessageAccess.WRITE, low, high)
    return this.#raise('write', 8)
  }

  /** CPUID. The parent that asked for the leaf gets the hypervisor's own answer as the default. The result is in `leaf`. */
  beginCpuid(leaf: number, subleaf: number): InterceptOutcome {
    this.#vp.cpuid(leaf, this.leaf)
    if (!interceptsLeaf(this.#vp.partitionPage, leaf)) return 'done'
    this.#compose(HvMessageType.X64_CPUID_INTERCEPT, CpuidIntercept.size, HvMessageAccess.EXECUTE)
    this.#put(CPUID.rax, leaf)
    this.#put(CPUID.rcx, subleaf)
    this.#put(CPUID.defaultRax, this.leaf.eax)
    this.#put(CPUID.defaultRcx, this.leaf.ecx)
    this.#put(CPUID.defaultRdx, this.leaf.edx)
    this.#put(CPUID.defaultRbx, this.leaf.ebx)
    this.#vp.slot.setRegister(InterceptRegister.RAX, leaf, 0)
    this.#vp.slot.setRegister(InterceptRegister.RCX, subleaf, 0)
    return this.#raise('cpuid', 4)
  }

  /** Takes the answer, once `state` is 'answered': 'done' or 'fault'. 'suspended' while it is not there. */
  finish(): InterceptOutcome {
    const { slot } = this.#vp
    if (!slot.settle()) return 'suspended'
    const access = this.#access
    this.#access = 'none'
    if (access !== 'none' && slot.exception >= 0) {
      this.exception = slot.exception
      return 'fault'
    }
    this.exception = -1
    if (access === 'port-in' || access === 'memory-read') this.#takeValue()
    else if (access === 'msr-read') this.#takeMsr()
    else if (access === 'cpuid') this.#takeLeaf()
    return 'done'
  }

  #takeValue(): void {
    const { slot } = this.#vp
    if (!slot.hasRegister(InterceptRegister.RAX)) return
    setMasked(
      this.value,
      slot.low(InterceptRegister.RAX),
      slot.high(InterceptRegister.RAX),
      this.#size,
    )
  }

  /** An MSR's value is EDX:EAX. */
  #takeMsr(): void {
    const { slot } = this.#vp
    if (slot.hasRegister(InterceptRegister.RAX)) this.value.low = slot.low(InterceptRegister.RAX)
    if (slot.hasRegister(InterceptRegister.RDX)) this.value.high = slot.low(InterceptRegister.RDX)
  }

  #takeLeaf(): void {
    const { slot } = this.#vp
    if (slot.hasRegister(InterceptRegister.RAX)) this.leaf.eax = slot.low(InterceptRegister.RAX)
    if (slot.hasRegister(InterceptRegister.RBX)) this.leaf.ebx = slot.low(InterceptRegister.RBX)
    if (slot.hasRegister(InterceptRegister.RCX)) this.leaf.ecx = slot.low(InterceptRegister.RCX)
    if (slot.hasRegister(InterceptRegister.RDX)) this.leaf.edx = slot.low(InterceptRegister.RDX)
  }

  #fault(): InterceptOutcome {
    this.exception = GENERAL_PROTECTION
    return 'fault'
  }

  #raise(access: Access, size: AccessSize): InterceptOutcome {
    this.#access = access
    this.#size = size
    if (this.#vp.slot.raise(this.#words)) this.#vp.wakeRoot.ring()
    return 'suspended'
  }

  /** A message of nothing but its header: type, size, VP, access. */
  #compose(type: number, payloadSize: number, access: number): void {
    this.#words.fill(0)
    this.#view.setUint32(HvMessageHeader.at.messageType, type, true)
    this.#view.setUint8(HvMessageHeader.at.payloadSize, payloadSize)
    this.#view.setUint32(VP_INDEX, this.#vp.vpIndex, true)
    this.#view.setUint8(ACCESS, access)
    this.#view.setUint16(STATE, EXECUTION_STATE, true)
    this.#vp.slot.clearRegisters()
  }

  /** Where these bytes are in RAM, if they may be reached so; -1: the access is the parent's. */
  #ramAddress(gpa: number, size: number, right: number): number {
    const { memory, slat } = this.#vp
    const first = pageOf(gpa)
    const last = pageOf(gpa + size - 1)
    const page = slat.ramPage(first, right)
    if (page < 0 || (last !== first && slat.ramPage(last, right) !== page + 1)) return -1
    const at = page * PAGE_SIZE + (gpa - first * PAGE_SIZE)
    return memory.contains(at, size) ? at : -1
  }

  #composePort(port: number, size: number, value: number): void {
    this.#view.setUint16(PAYLOAD + PORT.portNumber, port, true)
    this.#view.setUint8(PAYLOAD + PORT.accessInfo, size)
    this.#put(PORT.rax, value)
  }

  #composeMemory(gpa: number, access: number, instruction: readonly number[]): void {
    const isMapped = slatKind(this.#vp.slat.lookUp(pageOf(gpa))) !== SlatKind.NOTHING
    const type = isMapped ? HvMessageType.GPA_INTERCEPT : HvMessageType.UNMAPPED_GPA
    this.#compose(type, MemoryIntercept.size, access)
    this.#view.setUint8(LENGTH, instruction.length)
    this.#view.setUint8(PAYLOAD + MEMORY.instructionByteCount, instruction.length)
    this.#put(MEMORY.gpa, gpa)
    instruction.forEach((byte, index) =>
      this.#view.setUint8(PAYLOAD + MEMORY.instructionBytes + index, byte),
    )
    this.#vp.slot.setRegister(InterceptRegister.RBX, gpa, Math.floor(gpa / 2 ** 32))
  }

  #composeMsr(msr: number, access: number, low: number, high: number): void {
    this.#compose(HvMessageType.X64_MSR_INTERCEPT, MsrIntercept.size, access)
    this.#view.setUint32(PAYLOAD + MSR.msrNumber, msr, true)
    this.#put(MSR.rax, low)
    this.#put(MSR.rdx, high)
    this.#vp.slot.setRegister(InterceptRegister.RCX, msr, 0)
    this.#vp.slot.setRegister(InterceptRegister.RAX, low, 0)
    this.#vp.slot.setRegister(InterceptRegister.RDX, high, 0)
  }

  /** A u64 of the payload, from a number below 2^53. */
  #put(at: number, value: number): void {
    this.#view.setUint32(PAYLOAD + at, value, true)
    this.#view.setUint32(PAYLOAD + at + 4, Math.floor(value / 2 ** 32), true)
  }
}

function pageOf(gpa: number): number {
  return Math.floor(gpa / PAGE_SIZE)
}

function setMasked(out: MsrValue, low: number, high: number, size: AccessSize): void {
  out.low = size < 4 ? (low & ((1 << (size * 8)) - 1)) >>> 0 : low >>> 0
  out.high = size === 8 ? high >>> 0 : 0
}
