// Input blocks of the hypercalls (TLFS, each call's own page). Offsets count from the input GPA; a fast
// call carries the first 16 bytes in registers. What follows a fixed part is said at the struct.

import { HV_MESSAGE_MAX_PAYLOAD, HvMessage } from './synic.ts'
import { bytes, nested, struct, u16, u32, u64, u8 } from './struct.ts'

/** HvCallPostMessage. 256 bytes. */
export const PostMessageInput = struct('HV_INPUT_POST_MESSAGE', 256, {
  connectionId: u32(0), //   24 bits of id, 8 bits of zero
  reserved: u32(4),
  messageType: u32(8), //    1..0x7fffffff
  payloadSize: u32(12), //   bytes, 0..HV_MESSAGE_MAX_PAYLOAD
  payload: bytes(16, HV_MESSAGE_MAX_PAYLOAD),
})

/** HvCallSignalEvent. 8 bytes, as a rule in a register: connection | flag << 32. */
export const SignalEventInput = struct('HV_INPUT_SIGNAL_EVENT', 8, {
  connectionId: u32(0),
  flagNumber: u16(4), //     relative to the port's base flag
  reserved: u16(6),
})

/** HvCallFlushVirtualAddressSpace, and the header of …List, where u64 GVA ranges follow. 24 bytes. */
export const FlushVirtualAddressInput = struct('HV_INPUT_FLUSH_VIRTUAL_ADDRESS', 24, {
  addressSpace: u64(0), //   CR3
  flags: u64(8), //          1 all VPs, 2 all spaces, 4 non-global only, 8 extended ranges
  vpMask: u64(16),
})

/** The Ex forms: a VP set in place of the mask, whose bank contents are the variable header. 32 bytes. */
export const FlushVirtualAddressExInput = struct('HV_INPUT_FLUSH_VIRTUAL_ADDRESS_EX', 32, {
  addressSpace: u64(0),
  flags: u64(8),
  vpSetFormat: u64(16), //   0 sparse, 1 all
  vpSetValidBanks: u64(24), // a u64 of 64 VPs follows for each set bit
})

/** HvCallNotifyLongSpinWait. 8 bytes. */
export const NotifyLongSpinWaitInput = struct('HV_INPUT_NOTIFY_LONG_SPIN_WAIT', 8, {
  spinCount: u32(0),
  reserved: u32(4),
})

/** HvCallSendSyntheticClusterIpi. 16 bytes. */
export const SendClusterIpiInput = struct('HV_INPUT_SEND_SYNTHETIC_CLUSTER_IPI', 16, {
  vector: u32(0), //         0x10..0xff
  targetVtl: u8(4),
  padding: bytes(5, 3),
  vpMask: u64(8),
})

/** HvCallSendSyntheticClusterIpiEx: the bank contents of the VP set are the variable header. 24 bytes. */
export const SendClusterIpiExInput = struct('HV_INPUT_SEND_SYNTHETIC_CLUSTER_IPI_EX', 24, {
  vector: u32(0),
  targetVtl: u8(4),
  padding: bytes(5, 3),
  vpSetFormat: u64(8),
  vpSetValidBanks: u64(16),
})

/** HvCallCreatePartition. 56 bytes; answered with a partition id. */
export const CreatePartitionInput = struct('HV_INPUT_CREATE_PARTITION', 56, {
  flags: u64(0),
  proximityDomain: u64(8),
  compatibilityVersion: u32(16),
  padding: u32(20),
  disabledProcessorFeatures: bytes(24, 16),
  disabledXsaveFeatures: u64(40),
  isolation: u64(48),
})

/** The calls that take a partition and nothing else, and the head of a deposit. 8 bytes. */
export const PartitionInput = struct('HV_INPUT_PARTITION', 8, { partitionId: u64(0) })

/** HvCallGetPartitionProperty. 16 bytes; answered with a u64. */
export const GetPartitionPropertyInput = struct('HV_INPUT_GET_PARTITION_PROPERTY', 16, {
  partitionId: u64(0),
  propertyCode: u32(8),
  padding: u32(12),
})

/** HvCallSetPartitionProperty. 24 bytes. */
export const SetPartitionPropertyInput = struct('HV_INPUT_SET_PARTITION_PROPERTY', 24, {
  partitionId: u64(0),
  propertyCode: u32(8),
  padding: u32(12),
  propertyValue: u64(16),
})

/** HvCallGetNextChildPartition. 16 bytes; 0 asks for the first and answers the end. */
export const GetNextChildPartitionInput = struct('HV_INPUT_GET_NEXT_CHILD_PARTITION', 16, {
  parentId: u64(0),
  previousChildId: u64(8),
})

/** HvCallWithdrawMemory and HvCallGetMemoryBalance. 16 bytes. */
export const MemoryBalanceInput = struct('HV_INPUT_MEMORY_BALANCE', 16, {
  partitionId: u64(0),
  proximityDomain: u64(8),
})

/** HvCallMapGpaPages. 24 bytes, then a u64 source page for each element. */
export const MapGpaPagesInput = struct('HV_INPUT_MAP_GPA_PAGES', 24, {
  targetPartitionId: u64(0),
  targetGpaBase: u64(8), //  page number
  mapFlags: u32(16), //      HvMapFlags
  padding: u32(20),
})

/** HvCallUnmapGpaPages. 24 bytes. */
export const UnmapGpaPagesInput = struct('HV_INPUT_UNMAP_GPA_PAGES', 24, {
  targetPartitionId: u64(0),
  targetGpaBase: u64(8),
  unmapFlags: u32(16), //    2: large pages
  padding: u32(20),
})

/** Rights and properties of a mapping (TLFS, HV_MAP_GPA_FLAGS). */
export const HvMapFlags = {
  READ: 0x1,
  WRITE: 0x2,
  KERNEL_EXECUTE: 0x4,
  USER_EXECUTE: 0x8,
  NO_ACCESS: 0x1_0000,
  UNCACHED: 0x20_0000,
  LARGE_PAGE: 0x8000_0000,
} as const

/** HvCallInstallIntercept. 24 bytes. */
export const InstallInterceptInput = struct('HV_INPUT_INSTALL_INTERCEPT', 24, {
  partitionId: u64(0),
  accessMask: u32(8), //     1 read, 2 write, 4 execute
  interceptType: u32(12),
  interceptParameter: u64(16),
})

/** HvCallDeleteVp. 16 bytes. */
export const DeleteVpInput = struct('HV_INPUT_DELETE_VP', 16, {
  partitionId: u64(0),
  vpIndex: u32(8),
  padding: u32(12),
})

/** HvCallCreateVp. 40 bytes. */
export const CreateVpInput = struct('HV_INPUT_CREATE_VP', 40, {
  partitionId: u64(0),
  vpIndex: u32(8),
  padding: bytes(12, 3),
  subnodeType: u8(15),
  subnodeId: u64(16),
  proximityDomain: u64(24),
  flags: u64(32),
})

/** HvCallGetVpRegisters (u32 names follow) and HvCallSetVpRegisters (RegisterAssoc follow). 16 bytes. */
export const VpRegistersInput = struct('HV_INPUT_VP_REGISTERS', 16, {
  partitionId: u64(0),
  vpIndex: u32(8),
  targetVtl: u8(12),
  padding: bytes(13, 3),
})

/** Element of HvCallSetVpRegisters. 32 bytes. */
export const RegisterAssoc = struct('HV_REGISTER_ASSOC', 32, {
  name: u32(0),
  reserved: bytes(4, 12),
  value: bytes(16, 16),
})

/** HvCallTranslateVirtualAddress. 32 bytes. */
export const TranslateVirtualAddressInput = struct('HV_INPUT_TRANSLATE_VIRTUAL_ADDRESS', 32, {
  partitionId: u64(0),
  vpIndex: u32(8),
  padding: u32(12),
  controlFlags: u64(16),
  gvaPage: u64(24),
})

/** HvCallDeletePort and HvCallDisconnectPort. 16 bytes. */
export const PortInput = struct('HV_INPUT_PORT', 16, {
  partitionId: u64(0),
  id: u32(8), //             port or connection, 24 bits
  reserved: u32(12),
})

/** Kinds of port and connection (TLFS, HV_PORT_TYPE). */
export const HvPortType = { MESSAGE: 1, EVENT: 2, MONITOR: 3, DOORBELL: 4 } as const
export type HvPortType = (typeof HvPortType)[keyof typeof HvPortType]

/** HV_PORT_INFO of a message or event port. 24 bytes (layout as Linux's root driver uses it). */
export const PortInfo = struct('HV_PORT_INFO', 24, {
  portType: u32(0), //       HvPortType
  padding: u32(4),
  targetSint: u32(8),
  targetVp: u32(12),
  baseFlagNumber: u16(16), // events only
  flagCount: u16(18), //     events only
  reserved: u32(20),
})

/** HvCallCreatePort. 56 bytes. */
export const CreatePortInput = struct('HV_INPUT_CREATE_PORT', 56, {
  portPartitionId: u64(0),
  portId: u32(8),
  portVtl: u8(12),
  minConnectionVtl: u8(13),
  padding: u16(14),
  connectionPartitionId: u64(16),
  portInfo: nested(PortInfo, 24),
  proximityDomain: u64(48),
})

/** HvCallConnectPort. 72 bytes. */
export const ConnectPortInput = struct('HV_INPUT_CONNECT_PORT', 72, {
  connectionPartitionId: u64(0),
  connectionId: u32(8),
  connectionVtl: u8(12),
  padding: bytes(13, 3),
  portPartitionId: u64(16),
  portId: u32(24),
  reserved: u32(28),
  connectionType: u32(32), // HvPortType
  reserved2: u32(36),
  connectionInfo: bytes(40, 24), // monitor: address; doorbell: GPA, value, flags
  proximityDomain: u64(64),
})

/** HV_INTERRUPT_ENTRY: an MSI as a device writes it. 16 bytes (layout as Linux's root driver uses it). */
export const InterruptEntry = struct('HV_INTERRUPT_ENTRY', 16, {
  source: u32(0), //         1: MSI
  reserved: u32(4),
  msiAddress: u32(8),
  msiData: u32(12),
})

/**
 * HV_DEVICE_INTERRUPT_TARGET. 16 bytes. With flag 2 the mask is the format of a VP set, and valid banks and bank contents are
 * the variable header.
 */
export const DeviceInterruptTarget = struct('HV_DEVICE_INTERRUPT_TARGET', 16, {
  vector: u32(0),
  flags: u32(4), //          1 multicast, 2 VP set
  vpMask: u64(8),
})

/** HvCallMapDeviceInterrupt. 72 bytes; answered with an InterruptEntry. */
export const MapDeviceInterruptInput = struct('HV_INPUT_MAP_DEVICE_INTERRUPT', 72, {
  partitionId: u64(0),
  deviceId: u64(8),
  flags: u32(16),
  baseIrtIndex: u32(20),
  logicalEntry: nested(InterruptEntry, 24),
  interruptType: u32(40),
  triggerMode: u32(44), //   0 edge, 1 level
  vectorCount: u32(48),
  reserved: u32(52),
  target: nested(DeviceInterruptTarget, 56),
})

/** HvCallUnmapDeviceInterrupt. 40 bytes. */
export const UnmapDeviceInterruptInput = struct('HV_INPUT_UNMAP_DEVICE_INTERRUPT', 40, {
  partitionId: u64(0),
  deviceId: u64(8),
  entry: nested(InterruptEntry, 16),
  flags: u32(32),
  padding: u32(36),
})

/** HvCallRetargetDeviceInterrupt. 56 bytes. */
export const RetargetDeviceInterruptInput = struct('HV_INPUT_RETARGET_DEVICE_INTERRUPT', 56, {
  partitionId: u64(0),
  deviceId: u64(8),
  entry: nested(InterruptEntry, 16),
  reserved: u64(32),
  target: nested(DeviceInterruptTarget, 40),
})

/** HvCallAssertVirtualInterrupt. 32 bytes. */
export const AssertVirtualInterruptInput = struct('HV_INPUT_ASSERT_VIRTUAL_INTERRUPT', 32, {
  partitionId: u64(0),
  interruptType: u32(8),
  flags: u32(12), //         1 level-triggered, 2 logical destination
  destination: u64(16), //   APIC id
  vector: u32(24),
  targetVtl: u8(28),
  padding: bytes(29, 3),
})

/** HvCallStartVirtualProcessor. 240 bytes. */
export const StartVirtualProcessorInput = struct('HV_INPUT_START_VIRTUAL_PROCESSOR', 240, {
  partitionId: u64(0),
  vpIndex: u32(8),
  targetVtl: u8(12),
  padding: bytes(13, 3),
  vpContext: bytes(16, 224),
})

/** HvCallGetVpIndexFromApicId. 16 bytes, then u32 APIC ids. */
export const GetVpIndexFromApicIdInput = struct('HV_INPUT_GET_VP_INDEX_FROM_APIC_ID', 16, {
  partitionId: u64(0),
  targetVtl: u8(8),
  padding: bytes(9, 7),
})

/** HvCallSignalEventDirect. 16 bytes. */
export const SignalEventDirectInput = struct('HV_INPUT_SIGNAL_EVENT_DIRECT', 16, {
  targetPartitionId: u64(0),
  targetVp: u32(8),
  targetVtl: u8(12),
  targetSint: u8(13),
  flagNumber: u16(14),
})

/** HvCallPostMessageDirect. 272 bytes. */
export const PostMessageDirectInput = struct('HV_INPUT_POST_MESSAGE_DIRECT', 272, {
  targetPartitionId: u64(0),
  targetVp: u32(8),
  targetVtl: u8(12),
  targetSint: u8(13),
  padding: u16(14),
  message: nested(HvMessage, 16),
})
