// The synthetic interrupt controller's memory: message page (SIM), event-flag page (SIEF), messages.
//
//   SIM page   16 slots of 256 bytes, slot n belongs to SINTn     | header 16 | payload 240 |
//   SIEF page  16 arrays of 256 bytes, 2048 flags each: flag f is bit f % 8 of byte f / 8
//
// Only the VP's own thread writes these pages (TLFS, "Synthetic Interrupt Controller").

import { bytes, i64, nested, struct, u16, u32, u64, u8 } from './struct.ts'

/** Largest payload of a message, in bytes. */
export const HV_MESSAGE_MAX_PAYLOAD = 240
export const HV_MESSAGE_HEADER_SIZE = 16
export const HV_MESSAGE_SIZE = 256

/** HV_MESSAGE_HEADER (TLFS, data type HV_MESSAGE). 16 bytes. */
export const HvMessageHeader = struct('HV_MESSAGE_HEADER', 16, {
  messageType: u32(0), //    0: the slot is empty. Bit 31: sent by the hypervisor itself
  payloadSize: u8(4), //     bytes in use, 0..HV_MESSAGE_MAX_PAYLOAD
  messageFlags: u8(5), //    bit 0: another message is pending for this slot
  reserved: u16(6),
  sender: u64(8), //         HV_PARTITION_ID or HV_PORT_ID
})

/** HV_MESSAGE: one slot of the SIM page. 256 bytes. */
export const HvMessage = struct('HV_MESSAGE', 256, {
  header: nested(HvMessageHeader, 0),
  payload: bytes(16, HV_MESSAGE_MAX_PAYLOAD),
})

/** Payload of a timer message. 24 bytes (TLFS, HV_TIMER_MESSAGE_PAYLOAD). */
export const TimerMessagePayload = struct('HV_TIMER_MESSAGE_PAYLOAD', 24, {
  timerIndex: u32(0), //        0..3
  reserved: u32(4),
  expirationTime: u64(8), //    reference time for which it was set, 100 ns
  deliveryTime: u64(16), //     reference time at which the message was written, 100 ns
})

/** Message flag: the consumer must write EOM once it has emptied the slot. */
export const HV_MESSAGE_FLAG_PENDING = 0x1

export const HV_MESSAGE_TYPE_NONE = 0
/** The type of every VMBus control message, both ways. */
export const HV_MESSAGE_TYPE_VMBUS = 1
/** Types with this bit come from the hypervisor; a guest may not post one. */
export const HV_MESSAGE_TYPE_HYPERVISOR_BIT = 0x8000_0000

/** Message types (TLFS, HV_MESSAGE_TYPE). */
export const HvMessageType = {
  NONE: HV_MESSAGE_TYPE_NONE,
  VMBUS: HV_MESSAGE_TYPE_VMBUS,
  UNMAPPED_GPA: 0x8000_0000,
  GPA_INTERCEPT: 0x8000_0001,
  TIMER_EXPIRED: 0x8000_0010,
  INVALID_VP_REGISTER_VALUE: 0x8000_0020,
  UNRECOVERABLE_EXCEPTION: 0x8000_0021,
  UNSUPPORTED_FEATURE: 0x8000_0022,
  HYPERCALL_INTERCEPT: 0x8000_0050,
  SYNIC_EVENT_INTERCEPT: 0x8000_0060,
  SYNIC_SINT_INTERCEPT: 0x8000_0061,
  SYNIC_SINT_DELIVERABLE: 0x8000_0062,
  X64_IO_PORT_INTERCEPT: 0x8001_0000,
  X64_MSR_INTERCEPT: 0x8001_0001,
  X64_CPUID_INTERCEPT: 0x8001_0002,
  X64_EXCEPTION_INTERCEPT: 0x8001_0003,
  X64_APIC_EOI: 0x8001_0004,
  X64_HALT: 0x8001_0007,
  X64_INTERRUPTION_DELIVERABLE: 0x8001_0008,
} as const
export type HvMessageType = (typeof HvMessageType)[keyof typeof HvMessageType]

export const SINT_COUNT = 16
/** SINTs with a fixed use. */
export const SINT_INTERCEPT = 0
export const SINT_IOMMU_FAULT = 1

export const SIM_SLOT_SIZE = 256
export const SIEF_ARRAY_SIZE = 256
/** Event flags of one SINT. */
export const EVENT_FLAGS_PER_SINT = 2048
/** Message buffers that a message port owns; with all in use a post is INSUFFICIENT_BUFFERS. */
export const PORT_MESSAGE_BUFFERS = 16

/** Offset in the SIM page of the slot of `sint` (0 to 15), in bytes. */
export function simSlotOffset(sint: number): number {
  return sint * SIM_SLOT_SIZE
}

/** Offset in the SIEF page of the flags of `sint` (0 to 15), in bytes. */
export function siefArrayOffset(sint: number): number {
  return sint * SIEF_ARRAY_SIZE
}

/** VP assist page: the u32 at this offset is the APIC assist field. */
export const VP_ASSIST_APIC_ASSIST = 0
/** APIC assist, bit 0: the guest clears it atomically in place of an EOI. */
export const APIC_ASSIST_NO_EOI_REQUIRED = 0x1

/** Reference TSC page. time = ((tsc * scale) >> 64) + offset, in 100 ns (TLFS, "Partition Reference TSC"). */
export const ReferenceTscPage = struct('HV_REFERENCE_TSC_PAGE', 4096, {
  sequence: u32(0), //       0: not valid, read TIME_REF_COUNT instead
  reserved: u32(4),
  scale: u64(8),
  offset: i64(16),
  reserved2: bytes(24, 4072),
})
