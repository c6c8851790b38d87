// The intercepts of one partition, on their way to whoever owns the device, and the answers on their way back (TLFS, "Intercepts").
// A VP waits in its intercept, so there is never more than one for each. What nobody owns is answered at once as a bare machine
// answers: reads are all ones, writes go nowhere. Root thread only.
//
//   VP ─▶ message ─▶ receive ─▶ owner of the port, the address, the MSRs, the leaf ─▶ complete ─▶ registers, InterceptSuspend = 0 ─▶ VP

import { SlatKind, slatKind, type Slat } from '@guestyard/guestmem'
import {
  CpuidIntercept,
  HvInterceptAccess,
  HvInterceptType,
  HvMessageHeader,
  HvRegister,
  HvStatus,
  PAGE_SHIFT,
  PENDING_EVENT_HAS_ERROR_CODE,
  PENDING_EVENT_PENDING,
  PENDING_EVENT_VECTOR_SHIFT,
} from '@guestyard/hvdef'

import type { WinHv } from '../winhv/index.ts'
import {
  accessOf,
  instructionOf,
  type EmulatedRanges,
  type VpAnswer,
  type VpExit,
} from './vp-exit.ts'

/** Emulates devices: gets what VPs do to them, and owes an answer for each, now or later. */
export interface ExitOwner {
  /** Answered by `InterceptQueue.complete` with the exit's VP and sequence, also from within this call. */
  take(exit: VpExit): void
}

/** Ports that one call may own. */
const PORTS = 0x1_0000
/** Ranges of memory that all owners of a partition have together. */
const RANGES_MAX = 256
const READ_WRITE = HvInterceptAccess.READ | HvInterceptAccess.WRITE
const ALL_ONES = 0xffff_ffff
/** Exceptions that x86 has. */
const EXCEPTION_MAX = 31
/** The default answer of CPUID in its message: EAX, ECX, EDX, EBX. */
const DEFAULTS = HvMessageHeader.size + CpuidIntercept.at.defaultRax

interface MemoryRange {
  readonly first: number
  readonly bytes: number
  readonly owner: ExitOwner
}

/** An exit that was not answered. */
interface Pending {
  readonly exit: VpExit
  readonly owner: ExitOwner
  readonly rip: { readonly low: number; readonly high: number; readonly length: number }
}

export class InterceptQueue {
  readonly #partitionId: number
  readonly #winhv: WinHv
  readonly #slat: Slat
  readonly #ports: Map<number, ExitOwner> = new Map()
  readonly #leaves: Map<number, ExitOwner> = new Map()
  #msrs: ExitOwner | null = null
  #ranges: readonly MemoryRange[] = []
  /** By VP. */
  readonly #pending: Map<number, Pending> = new Map()
  #sequence = 0
  owned = 0
  unowned = 0
  /** Answers to an exit that was answered already, or never was. */
  stale = 0

  constructor(partitionId: number, slat: Slat, winhv: WinHv) {
    this.#partitionId = partitionId
    this.#slat = slat
    this.#winhv = winhv
  }

  /** `count` ports from `first` on are `owner`'s. INVALID_PARAMETER past port 65535; OBJECT_IN_USE when one has an owner. */
  ownPorts(first: number, count: number, owner: ExitOwner): HvStatus {
    if (!isRange(first, count, PORTS)) return HvStatus.INVALID_PARAMETER
    for (let port = first; port < first + count; port++) {
      if (this.#ports.has(port)) return HvStatus.OBJECT_IN_USE
    }
    for (let port = first; port < first + count; port++) {
      const status = this.#install(HvInterceptType.IO_PORT, READ_WRITE, port)
      if (status !== HvStatus.SUCCESS) return status
      this.#ports.set(port, owner)
    }
    return HvStatus.SUCCESS
  }

  /**
   * `bytes` of GPA space from `gpa` on are `owner`'s. INVALID_PARAMETER; OBJECT_IN_USE when RAM or somebody else's range is
   * there; NO_RESOURCES for more ranges than a partition may have.
   */
  ownMemory(gpa: number, bytes: number, owner: ExitOwner): HvStatus {
    if (!isRange(gpa, bytes, 2 ** 52)) return HvStatus.INVALID_PARAMETER
    if (this.#ranges.length === RANGES_MAX) return HvStatus.NO_RESOURCES
    const overlaps = this.#ranges.some(
      (range) => gpa < range.first + range.bytes && range.first < gpa + bytes,
    )
    if (overlaps || this.#hasRam(gpa, bytes)) return HvStatus.OBJECT_IN_USE
    this.#ranges = [...this.#ranges, { first: gpa, bytes, owner }]
    return HvStatus.SUCCESS
  }

  /** All of these are `owner`'s. The first status that is not SUCCESS, of `ownPorts` or `ownMemory`. */
  own(ranges: EmulatedRanges, owner: ExitOwner): HvStatus {
    for (const { first, count } of ranges.ports) {
      const status = this.ownPorts(first, count, owner)
      if (status !== HvStatus.SUCCESS) return status
    }
    for (const { gpa, bytes } of ranges.memory) {
      const status = this.ownMemory(gpa, bytes, owner)
      if (status !== HvStatus.SUCCESS) return status
    }
    return HvStatus.SUCCESS
  }

  /** MSRs that the hypervisor does not have are `owner`'s. OBJECT_IN_USE. */
  ownMsrs(owner: ExitOwner): HvStatus {
    if (this.#msrs !== null) return HvStatus.OBJECT_IN_USE
    const status = this.#install(HvInterceptType.MSR, READ_WRITE, 0)
    if (status === HvStatus.SUCCESS) this.#msrs = owner
    return status
  }

  /** CPUID of a leaf is `owner`'s. OBJECT_IN_USE, NO_RESOURCES. */
  ownLeaf(leaf: number, owner: ExitOwner): HvStatus {
    if (this.#leaves.has(leaf)) return HvStatus.OBJECT_IN_USE
    const status = this.#install(HvInterceptType.CPUID, HvInterceptAccess.EXECUTE, leaf)
    if (status === HvStatus.SUCCESS) this.#leaves.set(leaf, owner)
    return status
  }

  /** The owner is gone: what was its is nobody's, and VPs that wait for it go on as if it never had been. */
  disown(owner: ExitOwner): void {
    for (const [port, each] of this.#ports) {
      if (each !== owner) continue
      this.#ports.delete(port)
      this.#install(HvInterceptType.IO_PORT, 0, port)
    }
    for (const [leaf, each] of this.#leaves) {
      if (each !== owner) continue
      this.#leaves.delete(leaf)
      this.#install(HvInterceptType.CPUID, 0, leaf)
    }
    if (this.#msrs === owner) {
      this.#msrs = null
      this.#install(HvInterceptType.MSR, 0, 0)
    }
    this.#ranges = this.#ranges.filter((range) => range.owner !== owner)
    for (const { exit, owner: waitsFor } of [...this.#pending.values()]) {
      if (waitsFor === owner) this.complete(exit.vp, exit.sequence, NOBODY)
    }
  }

  /** A VP's intercept, from the partition's listener. `message` is an HV_MESSAGE, copied. */
  receive(vp: number, message: Uint8Array): void {
    const view = new DataView(message.buffer, message.byteOffset, message.byteLength)
    const rax = this.#winhv.vpRegister(this.#partitionId, vp, HvRegister.RAX)
    const access = accessOf(view, rax)
    this.#sequence += 1
    const exit = { partitionId: this.#partitionId, vp, sequence: this.#sequence, access }
    const owner = this.#ownerOf(exit)
    this.#pending.set(vp, { exit, owner: owner ?? UNOWNED, rip: instructionOf(view) })
    if (owner === undefined) {
      this.unowned += 1
      this.complete(vp, exit.sequence, unownedAnswer(exit, view))
      return
    }
    this.owned += 1
    owner.take(exit)
  }

  /** The answer to an exit. False when its VP waits for no such answer, which is counted. */
  complete(vp: number, sequence: number, answer: VpAnswer): boolean {
    const pending = this.#pending.get(vp)
    if (pending === undefined || pending.exit.sequence !== sequence) {
      this.stale += 1
      return false
    }
    this.#pending.delete(vp)
    this.#answer(vp, answer, pending)
    this.#set(vp, HvRegister.INTERCEPT_SUSPEND, 0, 0)
    return true
  }

  /** Plain data about this partition's intercepts. */
  inspect(): InterceptInspection {
    return {
      owned: this.owned,
      unowned: this.unowned,
      stale: this.stale,
      waiting: this.#pending.size,
      ports: this.#ports.size,
      ranges: this.#ranges.length,
    }
  }

  #ownerOf({ access }: VpExit): ExitOwner | undefined {
    switch (access.kind) {
      case 'port':
        return this.#ports.get(access.port)
      case 'memory':
        return this.#ranges.find(
          ({ first, bytes }) =>
            access.gpa >= first &&
            access.size <= bytes &&
            access.gpa - first <= bytes - access.size,
        )?.owner
      case 'msr':
        return this.#msrs ?? undefined
      case 'cpuid':
        return this.#leaves.get(access.leaf)
      case 'other':
        return undefined
    }
  }

  #answer(vp: number, answer: VpAnswer, { exit, rip }: Pending): void {
    if (answer.kind === 'exception') {
      const vector = answer.vector >= 0 && answer.vector <= EXCEPTION_MAX ? answer.vector : 13
      const event =
        (vector << PENDING_EVENT_VECTOR_SHIFT) |
        PENDING_EVENT_PENDING |
        PENDING_EVENT_HAS_ERROR_CODE
      this.#set(vp, HvRegister.PENDING_EVENT0, event, answer.errorCode)
      return
    }
    if (answer.kind === 'leaf') {
      this.#set(vp, HvRegister.RAX, answer.eax, 0)
      this.#set(vp, HvRegister.RBX, answer.ebx, 0)
      this.#set(vp, HvRegister.RCX, answer.ecx, 0)
      this.#set(vp, HvRegister.RDX, answer.edx, 0)
    } else if (exit.access.kind === 'msr' && !exit.access.isWrite) {
      this.#set(vp, HvRegister.RAX, answer.low, 0)
      this.#set(vp, HvRegister.RDX, answer.high, 0)
    } else if ('isWrite' in exit.access && !exit.access.isWrite) {
      this.#set(vp, HvRegister.RAX, answer.low, answer.high)
    }
    if (rip.length === 0) return
    const next = rip.low + rip.length
    this.#set(vp, HvRegister.RIP, next, next >= 2 ** 32 ? rip.high + 1 : rip.high)
  }

  #set(vp: number, name: number, low: number, high: number): void {
    this.#winhv.setVpRegister(this.#partitionId, vp, name, low >>> 0, high >>> 0)
  }

  #install(type: number, access: number, parameter: number): HvStatus {
    return this.#winhv.installIntercept(this.#partitionId, type, access, parameter)
  }

  #hasRam(gpa: number, bytes: number): boolean {
    const last = Math.floor((gpa + bytes - 1) / 2 ** PAGE_SHIFT)
    // Beyond GPA space there is nothing: the walk ends there.
    const end = Math.min(last, this.#slat.gpaPages - 1)
    for (let page = Math.floor(gpa / 2 ** PAGE_SHIFT); page <= end; page++) {
      if (slatKind(this.#slat.lookUp(page)) === SlatKind.RAM) return true
    }
    return false
  }
}

/** What `inspect` answers. */
export interface InterceptInspection {
  readonly owned: number
  readonly unowned: number
  readonly stale: number
  /** VPs that wait for an answer now. */
  readonly waiting: number
  readonly ports: number
  readonly ranges: number
}

/** Stands in for an owner where there is none. */
const UNOWNED: ExitOwner = { take() {} }
const NOBODY: VpAnswer = { kind: 'value', low: ALL_ONES, high: ALL_ONES }
const GENERAL_PROTECTION: VpAnswer = { kind: 'exception', vector: 13, errorCode: 0 }

/** As hardware has it: a bus on which nobody drives the lines, an MSR that is not there, CPUID as the hypervisor would answer it. */
function unownedAnswer({ access }: VpExit, message: DataView): VpAnswer {
  switch (access.kind) {
    case 'port':
    case 'memory':
      return NOBODY
    case 'msr':
    case 'other':
      return GENERAL_PROTECTION
    case 'cpuid':
      return {
        kind: 'leaf',
        eax: message.getUint32(DEFAULTS, true),
        ecx: message.getUint32(DEFAULTS + 8, true),
        edx: message.getUint32(DEFAULTS + 16, true),
        ebx: message.getUint32(DEFAULTS + 24, true),
      }
  }
}

function isRange(first: number, count: number, end: number): boolean {
  return (
    Number.isSafeInteger(first) &&
    Number.isSafeInteger(count) &&
    first >= 0 &&
    count > 0 &&
    first < end &&
    count <= end - first
  )
}
