// An intercept in the words of whoever emulates the device: which VP did what, where. Plain data, for owners in other threads.
// Everything in a message was written by the VP's thread, which may be hostile: it is numbers of any value, and nothing here
// throws for it.

import {
  CpuidIntercept,
  HvMessageAccess,
  HvMessageHeader,
  HvMessageType,
  InterceptHeader,
  IoPortIntercept,
  MemoryIntercept,
  MsrIntercept,
} from '@guestyard/hvdef'

/** Bytes of an access. */
export type AccessSize = 1 | 2 | 4 | 8

/** What a VP did. A value has two u32 halves; of a read, and of what an access has no bytes for, they are 0. */
export type VpAccess =
  | {
      readonly kind: 'port'
      readonly isWrite: boolean
      readonly port: number
      readonly size: AccessSize
      readonly low: number
      readonly high: number
    }
  | {
      readonly kind: 'memory'
      readonly isWrite: boolean
      readonly gpa: number
      readonly size: AccessSize
      readonly low: number
      readonly high: number
    }
  | {
      readonly kind: 'msr'
      readonly isWrite: boolean
      readonly msr: number
      readonly low: number
      readonly high: number
    }
  | { readonly kind: 'cpuid'; readonly leaf: number; readonly subleaf: number }
  /** Nothing that is emulated here: an instruction of another kind, a message of another type. */
  | { readonly kind: 'other'; readonly messageType: number }

/** An access that its VP waits for. */
export interface VpExit {
  readonly partitionId: number
  readonly vp: number
  /** Which of the partition's exits: goes back with the answer. */
  readonly sequence: number
  readonly access: VpAccess
}

/** What a VP goes on with. */
export type VpAnswer =
  /** The result of a read, of which the VP takes as many bytes as it asked for; of a write nothing is taken. */
  | { readonly kind: 'value'; readonly low: number; readonly high: number }
  | {
      readonly kind: 'leaf'
      readonly eax: number
      readonly ebx: number
      readonly ecx: number
      readonly edx: number
    }
  /** An exception instead: 0 to 31. */
  | { readonly kind: 'exception'; readonly vector: number; readonly errorCode: number }

const PAYLOAD = HvMessageHeader.size
const HEADER = PAYLOAD + IoPortIntercept.at.header
const ACCESS = HEADER + InterceptHeader.at.interceptAccess
const RIP = HEADER + InterceptHeader.at.rip
const LENGTH = HEADER + InterceptHeader.at.instructionLengthAndCr8
const INSTRUCTION_MAX = 16
const OPERAND_SIZE_PREFIX = 0x66
const REX_W = 0x48

/** What the message says was done. `rax`: the VP's RAX, for what a store writes. */
export function accessOf(
  message: DataView,
  rax: { readonly low: number; readonly high: number } | undefined,
): VpAccess {
  const messageType = message.getUint32(HvMessageHeader.at.messageType, true)
  const isWrite = message.getUint8(ACCESS) === HvMessageAccess.WRITE
  switch (messageType) {
    case HvMessageType.X64_IO_PORT_INTERCEPT:
      return portAccess(message, isWrite, messageType)
    case HvMessageType.UNMAPPED_GPA:
    case HvMessageType.GPA_INTERCEPT:
      return memoryAccess(message, messageType, rax)
    case HvMessageType.X64_MSR_INTERCEPT: {
      const msr = u32(message, MsrIntercept.at.msrNumber)
      const low = isWrite ? u32(message, MsrIntercept.at.rax) : 0
      const high = isWrite ? u32(message, MsrIntercept.at.rdx) : 0
      return { kind: 'msr', isWrite, msr, low, high }
    }
    case HvMessageType.X64_CPUID_INTERCEPT: {
      const leaf = u32(message, CpuidIntercept.at.rax)
      return { kind: 'cpuid', leaf, subleaf: u32(message, CpuidIntercept.at.rcx) }
    }
    default:
      return { kind: 'other', messageType }
  }
}

/** Where the VP goes on: behind the instruction. Two u32 halves, and how long the instruction is. */
export function instructionOf(message: DataView): { low: number; high: number; length: number } {
  return {
    low: message.getUint32(RIP, true),
    high: message.getUint32(RIP + 4, true),
    length: message.getUint8(LENGTH) & 0xf,
  }
}

function portAccess(message: DataView, isWrite: boolean, messageType: number): VpAccess {
  const at = IoPortIntercept.at
  const info = message.getUint8(PAYLOAD + at.accessInfo)
  const size = info & 7
  // String and repeated accesses are not emulated.
  if ((info & ~7) !== 0 || (size !== 1 && size !== 2 && size !== 4)) {
    return { kind: 'other', messageType }
  }
  const port = message.getUint16(PAYLOAD + at.portNumber, true)
  const low = isWrite ? truncated(u32(message, at.rax), size) : 0
  return { kind: 'port', isWrite, port, size, low, high: 0 }
}

function memoryAccess(
  message: DataView,
  messageType: number,
  rax: { readonly low: number; readonly high: number } | undefined,
): VpAccess {
  const at = MemoryIntercept.at
  const count = Math.min(message.getUint8(PAYLOAD + at.instructionByteCount), INSTRUCTION_MAX)
  const move = moveAt(message, PAYLOAD + at.instructionBytes, count)
  if (move === null) return { kind: 'other', messageType }
  const { isWrite, size } = move
  const gpa = u32(message, at.gpa) + u32(message, at.gpa + 4) * 2 ** 32
  const low = isWrite ? truncated(rax?.low ?? 0, size) : 0
  const high = isWrite && size === 8 ? (rax?.high ?? 0) : 0
  return { kind: 'memory', isWrite, gpa, size, low, high }
}

/** A move between AL, AX, EAX or RAX and memory: what drivers access registers of devices with. Null: anything else. */
function moveAt(
  message: DataView,
  at: number,
  count: number,
): { readonly isWrite: boolean; readonly size: AccessSize } | null {
  if (count < 2) return null
  const first = message.getUint8(at)
  const hasPrefix = first === OPERAND_SIZE_PREFIX || first === REX_W
  if (hasPrefix && count < 3) return null
  const word: AccessSize = first === OPERAND_SIZE_PREFIX ? 2 : first === REX_W ? 8 : 4
  const modRm = message.getUint8(at + (hasPrefix ? 2 : 1))
  // The register field names RAX.
  if (((modRm >>> 3) & 7) !== 0) return null
  switch (message.getUint8(at + (hasPrefix ? 1 : 0))) {
    case 0x88:
      return { isWrite: true, size: 1 }
    case 0x89:
      return { isWrite: true, size: word }
    case 0x8a:
      return { isWrite: false, size: 1 }
    case 0x8b:
      return { isWrite: false, size: word }
    default:
      return null
  }
}

function u32(message: DataView, at: number): number {
  return message.getUint32(PAYLOAD + at, true)
}

function truncated(value: number, size: number): number {
  return size < 4 ? value & ((1 << (size * 8)) - 1) : value >>> 0
}

/** An owner's answer to an exit, by the exit's VP and sequence. */
export interface ExitAnswer {
  readonly vp: number
  readonly sequence: number
  readonly answer: VpAnswer
}

/** Where a VM's worker process emulates devices: what VPs do there it gets from `exchangeExits`. */
export interface EmulatedRanges {
  readonly ports: readonly { readonly first: number; readonly count: number }[]
  /** Where no RAM is. */
  readonly memory: readonly { readonly gpa: number; readonly bytes: number }[]
}
