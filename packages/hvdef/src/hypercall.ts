// The hypercall ABI: call codes, the 64-bit input value, the 64-bit result (TLFS, "Hypercall Interface").
//
// Both values are handled as two u32 halves, because a bigint costs far more than the call it describes.
//
//   input low   15:0 call code | 16 fast | 26:17 variable header, qwords | 30:27 zero | 31 nested
//   input high  11:0 rep count | 15:12 zero | 27:16 rep start | 31:28 zero
//   result low  15:0 status                   result high  11:0 reps completed, counted from 0

import type { HvStatus } from './status.ts'
import type { Struct } from './struct.ts'

/** Call codes (TLFS, "Hypercall Code"). */
export const HypercallCode = {
  FLUSH_VIRTUAL_ADDRESS_SPACE: 0x0002,
  FLUSH_VIRTUAL_ADDRESS_LIST: 0x0003,
  NOTIFY_LONG_SPIN_WAIT: 0x0008,
  SEND_SYNTHETIC_CLUSTER_IPI: 0x000b,
  FLUSH_VIRTUAL_ADDRESS_SPACE_EX: 0x0013,
  FLUSH_VIRTUAL_ADDRESS_LIST_EX: 0x0014,
  SEND_SYNTHETIC_CLUSTER_IPI_EX: 0x0015,
  CREATE_PARTITION: 0x0040,
  INITIALIZE_PARTITION: 0x0041,
  FINALIZE_PARTITION: 0x0042,
  DELETE_PARTITION: 0x0043,
  GET_PARTITION_PROPERTY: 0x0044,
  SET_PARTITION_PROPERTY: 0x0045,
  GET_PARTITION_ID: 0x0046,
  GET_NEXT_CHILD_PARTITION: 0x0047,
  DEPOSIT_MEMORY: 0x0048,
  WITHDRAW_MEMORY: 0x0049,
  GET_MEMORY_BALANCE: 0x004a,
  MAP_GPA_PAGES: 0x004b,
  UNMAP_GPA_PAGES: 0x004c,
  INSTALL_INTERCEPT: 0x004d,
  CREATE_VP: 0x004e,
  DELETE_VP: 0x004f,
  GET_VP_REGISTERS: 0x0050,
  SET_VP_REGISTERS: 0x0051,
  TRANSLATE_VIRTUAL_ADDRESS: 0x0052,
  DELETE_PORT: 0x0058,
  DISCONNECT_PORT: 0x005b,
  POST_MESSAGE: 0x005c,
  SIGNAL_EVENT: 0x005d,
  MAP_DEVICE_INTERRUPT: 0x007c,
  UNMAP_DEVICE_INTERRUPT: 0x007d,
  RETARGET_DEVICE_INTERRUPT: 0x007e,
  ASSERT_VIRTUAL_INTERRUPT: 0x0094,
  CREATE_PORT: 0x0095,
  CONNECT_PORT: 0x0096,
  START_VIRTUAL_PROCESSOR: 0x0099,
  GET_VP_INDEX_FROM_APIC_ID: 0x009a,
  SIGNAL_EVENT_DIRECT: 0x00c0,
  POST_MESSAGE_DIRECT: 0x00c1,
} as const
export type HypercallCode = (typeof HypercallCode)[keyof typeof HypercallCode]

export const HVCALL_POST_MESSAGE = 0x005c
export const HVCALL_SIGNAL_EVENT = 0x005d

/** One row of the hypercall table: what a call takes and whether it repeats. */
export interface Hypercall {
  readonly code: number
  /** Fixed part of the input block; null where the call takes no input. */
  readonly input: Struct | null
  /** True for a rep call: the fixed part is followed by `repCount` elements. */
  readonly rep: boolean
}

/** Input value, low half: the call takes its input from registers. */
export const HYPERCALL_FAST = 0x1_0000
/** Input value, low half: the call is for the hypervisor's own host. */
export const HYPERCALL_NESTED = 0x8000_0000
/** Bits that must be zero, else INVALID_HYPERCALL_INPUT. */
export const HYPERCALL_RESERVED_LOW = 0x7800_0000
export const HYPERCALL_RESERVED_HIGH = 0xf000_f000
export const HYPERCALL_REP_COUNT_MAX = 0xfff
export const HYPERCALL_VARIABLE_HEADER_QWORDS_MAX = 0x3ff

/** The fields of an input value. */
export interface HypercallInputValue {
  readonly code: number
  readonly fast: boolean
  /** Size of the variable header, in 8-byte units. */
  readonly variableHeaderQwords: number
  readonly nested: boolean
  readonly repCount: number
  /** Index of the first element to work on; the elements before it are done. */
  readonly repStart: number
  /** True when a bit that must be zero is not. */
  readonly reservedBitsSet: boolean
}

/** Low half of an input value. `code` 0..0xffff, `variableHeaderQwords` 0..0x3ff. */
export function hypercallInputLow(code: number, fast: boolean, variableHeaderQwords = 0): number {
  return (code | (fast ? HYPERCALL_FAST : 0) | (variableHeaderQwords << 17)) >>> 0
}

/** High half of an input value. Both 0..0xfff. */
export function hypercallInputHigh(repCount: number, repStart: number): number {
  return (repCount | (repStart << 16)) >>> 0
}

/** Splits an input value. Allocates: for dispatch on a hot path use the call code, `low & 0xffff`. */
export function decodeHypercallInputValue(low: number, high: number): HypercallInputValue {
  return {
    code: low & 0xffff,
    fast: (low & HYPERCALL_FAST) !== 0,
    variableHeaderQwords: (low >>> 17) & HYPERCALL_VARIABLE_HEADER_QWORDS_MAX,
    nested: (low & HYPERCALL_NESTED) !== 0,
    repCount: high & HYPERCALL_REP_COUNT_MAX,
    repStart: (high >>> 16) & HYPERCALL_REP_COUNT_MAX,
    reservedBitsSet: (low & HYPERCALL_RESERVED_LOW) !== 0 || (high & HYPERCALL_RESERVED_HIGH) !== 0,
  }
}

/** Low half of a result. */
export function hypercallResultLow(status: HvStatus): number {
  return status
}

/** High half of a result: elements done, counted from element 0 even when the call began later. */
export function hypercallResultHigh(repsCompleted: number): number {
  return repsCompleted & HYPERCALL_REP_COUNT_MAX
}

/** The status in the low half of a result; the bits above it are to be ignored. */
export function hypercallStatus(resultLow: number): number {
  return resultLow & 0xffff
}

/** The elements done, from the high half of a result. */
export function hypercallRepsCompleted(resultHigh: number): number {
  return resultHigh & HYPERCALL_REP_COUNT_MAX
}
