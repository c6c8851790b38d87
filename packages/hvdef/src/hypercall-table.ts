// One row for each hypercall. A hypervisor dispatches on `code`, checks `rep` and reads `input`; the
// decoder does the same for a capture.

import * as inputs from './hypercall-inputs.ts'
import { HypercallCode } from './hypercall.ts'
import type { Hypercall } from './hypercall.ts'

const C = HypercallCode

/** Every call by its name in the TLFS. `input` null: none, or one that has no declared layout. */
export const HypercallTable = {
  HvCallFlushVirtualAddressSpace: {
    code: C.FLUSH_VIRTUAL_ADDRESS_SPACE,
    input: inputs.FlushVirtualAddressInput,
    rep: false,
  },
  HvCallFlushVirtualAddressList: {
    code: C.FLUSH_VIRTUAL_ADDRESS_LIST,
    input: inputs.FlushVirtualAddressInput,
    rep: true,
  },
  HvCallNotifyLongSpinWait: {
    code: C.NOTIFY_LONG_SPIN_WAIT,
    input: inputs.NotifyLongSpinWaitInput,
    rep: false,
  },
  HvCallSendSyntheticClusterIpi: {
    code: C.SEND_SYNTHETIC_CLUSTER_IPI,
    input: inputs.SendClusterIpiInput,
    rep: false,
  },
  HvCallFlushVirtualAddressSpaceEx: {
    code: C.FLUSH_VIRTUAL_ADDRESS_SPACE_EX,
    input: inputs.FlushVirtualAddressExInput,
    rep: false,
  },
  HvCallFlushVirtualAddressListEx: {
    code: C.FLUSH_VIRTUAL_ADDRESS_LIST_EX,
    input: inputs.FlushVirtualAddressExInput,
    rep: true,
  },
  HvCallSendSyntheticClusterIpiEx: {
    code: C.SEND_SYNTHETIC_CLUSTER_IPI_EX,
    input: inputs.SendClusterIpiExInput,
    rep: false,
  },
  HvCallCreatePartition: {
    code: C.CREATE_PARTITION,
    input: inputs.CreatePartitionInput,
    rep: false,
  },
  HvCallInitializePartition: {
    code: C.INITIALIZE_PARTITION,
    input: inputs.PartitionInput,
    rep: false,
  },
  HvCallFinalizePartition: { code: C.FINALIZE_PARTITION, input: inputs.PartitionInput, rep: false },
  HvCallDeletePartition: { code: C.DELETE_PARTITION, input: inputs.PartitionInput, rep: false },
  HvCallGetPartitionProperty: {
    code: C.GET_PARTITION_PROPERTY,
    input: inputs.GetPartitionPropertyInput,
    rep: false,
  },
  HvCallSetPartitionProperty: {
    code: C.SET_PARTITION_PROPERTY,
    input: inputs.SetPartitionPropertyInput,
    rep: false,
  },
  HvCallGetPartitionId: { code: C.GET_PARTITION_ID, input: null, rep: false },
  HvCallGetNextChildPartition: {
    code: C.GET_NEXT_CHILD_PARTITION,
    input: inputs.GetNextChildPartitionInput,
    rep: false,
  },
  HvCallDepositMemory: { code: C.DEPOSIT_MEMORY, input: inputs.PartitionInput, rep: true },
  HvCallWithdrawMemory: { code: C.WITHDRAW_MEMORY, input: inputs.MemoryBalanceInput, rep: true },
  HvCallGetMemoryBalance: {
    code: C.GET_MEMORY_BALANCE,
    input: inputs.MemoryBalanceInput,
    rep: false,
  },
  HvCallMapGpaPages: { code: C.MAP_GPA_PAGES, input: inputs.MapGpaPagesInput, rep: true },
  HvCallUnmapGpaPages: { code: C.UNMAP_GPA_PAGES, input: inputs.UnmapGpaPagesInput, rep: true },
  HvCallInstallIntercept: {
    code: C.INSTALL_INTERCEPT,
    input: inputs.InstallInterceptInput,
    rep: false,
  },
  HvCallCreateVp: { code: C.CREATE_VP, input: inputs.CreateVpInput, rep: false },
  HvCallDeleteVp: { code: C.DELETE_VP, input: inputs.DeleteVpInput, rep: false },
  HvCallGetVpRegisters: { code: C.GET_VP_REGISTERS, input: inputs.VpRegistersInput, rep: true },
  HvCallSetVpRegisters: { code: C.SET_VP_REGISTERS, input: inputs.VpRegistersInput, rep: true },
  HvCallTranslateVirtualAddress: {
    code: C.TRANSLATE_VIRTUAL_ADDRESS,
    input: inputs.TranslateVirtualAddressInput,
    rep: false,
  },
  HvCallDeletePort: { code: C.DELETE_PORT, input: inputs.PortInput, rep: false },
  HvCallDisconnectPort: { code: C.DISCONNECT_PORT, input: inputs.PortInput, rep: false },
  HvCallPostMessage: { code: C.POST_MESSAGE, input: inputs.PostMessageInput, rep: false },
  HvCallSignalEvent: { code: C.SIGNAL_EVENT, input: inputs.SignalEventInput, rep: false },
  HvCallMapDeviceInterrupt: {
    code: C.MAP_DEVICE_INTERRUPT,
    input: inputs.MapDeviceInterruptInput,
    rep: false,
  },
  HvCallUnmapDeviceInterrupt: {
    code: C.UNMAP_DEVICE_INTERRUPT,
    input: inputs.UnmapDeviceInterruptInput,
    rep: false,
  },
  HvCallRetargetDeviceInterrupt: {
    code: C.RETARGET_DEVICE_INTERRUPT,
    input: inputs.RetargetDeviceInterruptInput,
    rep: false,
  },
  HvCallAssertVirtualInterrupt: {
    code: C.ASSERT_VIRTUAL_INTERRUPT,
    input: inputs.AssertVirtualInterruptInput,
    rep: false,
  },
  HvCallCreatePort: { code: C.CREATE_PORT, input: inputs.CreatePortInput, rep: false },
  HvCallConnectPort: { code: C.CONNECT_PORT, input: inputs.ConnectPortInput, rep: false },
  HvCallStartVirtualProcessor: {
    code: C.START_VIRTUAL_PROCESSOR,
    input: inputs.StartVirtualProcessorInput,
    rep: false,
  },
  HvCallGetVpIndexFromApicId: {
    code: C.GET_VP_INDEX_FROM_APIC_ID,
    input: inputs.GetVpIndexFromApicIdInput,
    rep: true,
  },
  HvCallSignalEventDirect: {
    code: C.SIGNAL_EVENT_DIRECT,
    input: inputs.SignalEventDirectInput,
    rep: false,
  },
  HvCallPostMessageDirect: {
    code: C.POST_MESSAGE_DIRECT,
    input: inputs.PostMessageDirectInput,
    rep: false,
  },
} as const satisfies Readonly<Record<string, Hypercall>>

export type HypercallName = keyof typeof HypercallTable

export const HvCallPostMessage = HypercallTable.HvCallPostMessage
export const HvCallSignalEvent = HypercallTable.HvCallSignalEvent

const NAMES: ReadonlyMap<number, HypercallName> = new Map(
  (Object.keys(HypercallTable) as HypercallName[]).map((name) => [HypercallTable[name].code, name]),
)

/** Name of a call code, or undefined for a call that the table does not hold. */
export function hypercallName(code: number): HypercallName | undefined {
  return NAMES.get(code)
}
