// What an intercept tells the owner of a VP (TLFS, "Intercepts"): the payloads of the messages that the hypervisor sends to
// SINT0 of the parent, the kinds of access that InstallIntercept names, and the registers in which a VP begins.

import { bytes, nested, struct, u16, u32, u64, u8 } from './struct.ts'

/** Kinds of access that may be intercepted (HV_INTERCEPT_TYPE). */
export const HvInterceptType = {
  IO_PORT: 0, //      parameter: the port
  MSR: 1,
  CPUID: 2, //        parameter: the leaf
  EXCEPTION: 3,
  HYPERCALL: 8,
} as const
export type HvInterceptType = (typeof HvInterceptType)[keyof typeof HvInterceptType]

/** Accesses of an intercept, as a mask (HV_INTERCEPT_ACCESS_MASK). */
export const HvInterceptAccess = { READ: 0x1, WRITE: 0x2, EXECUTE: 0x4 } as const

/** `interceptAccess` of a message header. */
export const HvMessageAccess = { READ: 0, WRITE: 1, EXECUTE: 2 } as const

/** HV_X64_SEGMENT_REGISTER. 16 bytes. */
export const SegmentRegister = struct('HV_X64_SEGMENT_REGISTER', 16, {
  base: u64(0),
  limit: u32(8),
  selector: u16(12),
  attributes: u16(14),
})

/** HV_X64_INTERCEPT_MESSAGE_HEADER. 40 bytes. */
export const InterceptHeader = struct('HV_X64_INTERCEPT_MESSAGE_HEADER', 40, {
  vpIndex: u32(0),
  instructionLengthAndCr8: u8(4), // 3:0 length, 7:4 CR8
  interceptAccess: u8(5), //         HvMessageAccess
  executionState: u16(6), //         1:0 CPL, 2 PE, 3 AM, 4 LMA, 5 debug, 6 interruption pending, 10:7 VTL, 12 shadow
  cs: nested(SegmentRegister, 8),
  rip: u64(24),
  rflags: u64(32),
})

/** Payload of X64_IO_PORT_INTERCEPT. 128 bytes. */
export const IoPortIntercept = struct('HV_X64_IO_PORT_INTERCEPT_MESSAGE', 128, {
  header: nested(InterceptHeader, 0),
  portNumber: u16(40),
  accessInfo: u8(42), //             2:0 size in bytes, 3 string, 4 rep
  instructionByteCount: u8(43),
  reserved: u32(44),
  rax: u64(48),
  instructionBytes: bytes(56, 16),
  ds: nested(SegmentRegister, 72),
  es: nested(SegmentRegister, 88),
  rcx: u64(104),
  rsi: u64(112),
  rdi: u64(120),
})

/** Payload of UNMAPPED_GPA and GPA_INTERCEPT. 80 bytes. */
export const MemoryIntercept = struct('HV_X64_MEMORY_INTERCEPT_MESSAGE', 80, {
  header: nested(InterceptHeader, 0),
  cacheType: u32(40),
  instructionByteCount: u8(44),
  memoryAccessInfo: u8(45), //       0: the GVA is valid
  taskPriority: u8(46),
  reserved: u8(47),
  gva: u64(48),
  gpa: u64(56),
  instructionBytes: bytes(64, 16),
})

/** Payload of X64_MSR_INTERCEPT. 64 bytes. */
export const MsrIntercept = struct('HV_X64_MSR_INTERCEPT_MESSAGE', 64, {
  header: nested(InterceptHeader, 0),
  msrNumber: u32(40),
  reserved: u32(44),
  rdx: u64(48),
  rax: u64(56),
})

/** Payload of X64_CPUID_INTERCEPT. 104 bytes. */
export const CpuidIntercept = struct('HV_X64_CPUID_INTERCEPT_MESSAGE', 104, {
  header: nested(InterceptHeader, 0),
  rax: u64(40),
  rcx: u64(48),
  rdx: u64(56),
  rbx: u64(64),
  defaultRax: u64(72),
  defaultRcx: u64(80),
  defaultRdx: u64(88),
  defaultRbx: u64(96),
})

/** HV_X64_TABLE_REGISTER. 16 bytes. */
export const TableRegister = struct('HV_X64_TABLE_REGISTER', 16, {
  padding: bytes(0, 6),
  limit: u16(6),
  base: u64(8),
})

/** HV_INITIAL_VP_CONTEXT: the state in which HvCallStartVirtualProcessor starts a VP. 224 bytes. */
export const InitialVpContext = struct('HV_INITIAL_VP_CONTEXT', 224, {
  rip: u64(0),
  rsp: u64(8),
  rflags: u64(16),
  cs: nested(SegmentRegister, 24),
  ds: nested(SegmentRegister, 40),
  es: nested(SegmentRegister, 56),
  fs: nested(SegmentRegister, 72),
  gs: nested(SegmentRegister, 88),
  ss: nested(SegmentRegister, 104),
  tr: nested(SegmentRegister, 120),
  ldtr: nested(SegmentRegister, 136),
  idtr: nested(TableRegister, 152),
  gdtr: nested(TableRegister, 168),
  efer: u64(184),
  cr0: u64(192),
  cr3: u64(200),
  cr4: u64(208),
  pat: u64(216),
})
