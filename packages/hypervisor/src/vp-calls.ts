// HOT
// The hypercalls as a child partition's VP meets them: one row each, done on the VP's own thread. Calls about a child of the
// caller's have rows too, so that their privilege gates them here as anywhere; no child of ours has children, so a caller that
// holds the privilege is told that it is not the parent.

import { HV_MESSAGE_MAX_PAYLOAD, HvPrivilege, HvStatus, PostMessageInput } from '@guestyard/hvdef'
import type { HypercallName } from '@guestyard/hvdef'

import { repCall, simpleCall } from './hypercalls.ts'
import type { HypercallRow } from './hypercalls.ts'
import { SEVERAL_VP_CALLS, isOwn } from './several-vp-calls.ts'
import type { SeveralVps } from './several-vp-calls.ts'

/** HvCallPostMessage. `payload` words from `payloadAt`; size in bytes. */
export interface PostMessage {
  postMessage(
    connection: number,
    type: number,
    size: number,
    payload: Int32Array,
    payloadAt: number,
  ): HvStatus
}

/** HvCallSignalEvent. */
export interface SignalEvent {
  signalEvent(connection: number, flagNumber: number): HvStatus
}

/** HvCallGetPartitionId. */
export interface GetPartitionId {
  readonly partitionId: number
}

/** HvCallNotifyLongSpinWait. */
export interface NotifyLongSpinWait {
  notifyLongSpinWait(spinCount: number): void
}

/** HvCallGetVpIndexFromApicId: a VP's APIC id is its index. */
export interface CountVps {
  readonly vpCount: number
}

/** What the calls need that a child and the root make alike. */
export type SharedCapabilities = PostMessage & SignalEvent & NotifyLongSpinWait & SeveralVps

/** Everything that the rows below may use. */
export type HypercallCapabilities = SharedCapabilities & GetPartitionId & CountVps

const P = HvPrivilege
const PAYLOAD_WORD: number = PostMessageInput.at.payload / 4

/** Rows that a child and the root meet alike, apart from what stands behind the capabilities. */
export const SHARED_CALLS: readonly HypercallRow<SharedCapabilities>[] = [
  ...SEVERAL_VP_CALLS,
  {
    ...simpleCall('HvCallNotifyLongSpinWait'),
    privilege: null,
    invoke(vp, { input }) {
      vp.notifyLongSpinWait(input[0]! >>> 0)
      return HvStatus.SUCCESS
    },
  },
  {
    ...simpleCall('HvCallPostMessage'),
    privilege: P.POST_MESSAGES,
    invoke(vp, { input }) {
      const type = input[2]!
      const size = input[3]! >>> 0
      // Types with bit 31 are the hypervisor's own, and 0 is an empty slot: both are negative or zero here.
      if (type <= 0 || size > HV_MESSAGE_MAX_PAYLOAD) return HvStatus.INVALID_PARAMETER
      return vp.postMessage(input[0]!, type, size, input, PAYLOAD_WORD)
    },
  },
  {
    ...simpleCall('HvCallSignalEvent'),
    privilege: P.SIGNAL_EVENTS,
    invoke: (vp, { input }) => vp.signalEvent(input[0]!, input[1]! & 0xffff),
  },
]

/** The calls of a child's VP. */
export const VP_CALLS: readonly HypercallRow<HypercallCapabilities>[] = [
  ...SHARED_CALLS,
  {
    ...simpleCall('HvCallGetPartitionId', 8),
    privilege: P.ACCESS_PARTITION_ID,
    invoke(vp, { output }) {
      output[0] = vp.partitionId % 2 ** 32
      output[1] = Math.floor(vp.partitionId / 2 ** 32)
      return HvStatus.SUCCESS
    },
  },
  {
    ...repCall('HvCallGetVpIndexFromApicId', 4, 4),
    privilege: null,
    invoke(vp, { input, output, elementWord, outputWord }) {
      if (!isOwn(input, vp.partitionId)) return HvStatus.ACCESS_DENIED
      // Byte 8: the VTL. There is none above 0.
      if ((input[2]! & 0xff) !== 0) return HvStatus.INVALID_PARAMETER
      const apicId = input[elementWord]! >>> 0
      if (apicId >= vp.vpCount) return HvStatus.INVALID_PARAMETER
      output[outputWord] = apicId
      return HvStatus.SUCCESS
    },
  },
  {
    // No child has a device of its own that interrupts it.
    ...simpleCall('HvCallRetargetDeviceInterrupt'),
    variableHeader: true,
    privilege: null,
    invoke: (vp, { input }) =>
      isOwn(input, vp.partitionId) ? HvStatus.INVALID_DEVICE_ID : HvStatus.ACCESS_DENIED,
  },
  {
    ...simpleCall('HvCallCreatePartition', 8),
    privilege: P.CREATE_PARTITIONS,
    invoke: () => HvStatus.PARTITION_TOO_DEEP,
  },
  ofChild('HvCallInitializePartition', P.CREATE_PARTITIONS),
  ofChild('HvCallFinalizePartition', P.CREATE_PARTITIONS),
  ofChild('HvCallDeletePartition', P.CREATE_PARTITIONS),
  ofChild('HvCallGetPartitionProperty', P.CREATE_PARTITIONS, 8),
  ofChild('HvCallSetPartitionProperty', P.CREATE_PARTITIONS),
  ofChild('HvCallGetNextChildPartition', P.CREATE_PARTITIONS, 8),
  ofChildRep('HvCallDepositMemory', P.ACCESS_MEMORY_POOL, 8),
  ofChildRep('HvCallWithdrawMemory', P.ACCESS_MEMORY_POOL, 0, 8),
  ofChild('HvCallGetMemoryBalance', P.ACCESS_MEMORY_POOL, 16),
  ofChildRep('HvCallMapGpaPages', P.CREATE_PARTITIONS, 8),
  ofChildRep('HvCallUnmapGpaPages', P.CREATE_PARTITIONS, 0),
  ofChild('HvCallInstallIntercept', P.CREATE_PARTITIONS),
  ofChild('HvCallCreateVp', P.CREATE_PARTITIONS),
  ofChild('HvCallDeleteVp', P.CREATE_PARTITIONS),
  ofChildRep('HvCallGetVpRegisters', P.ACCESS_VP_REGISTERS, 4, 16),
  ofChildRep('HvCallSetVpRegisters', P.ACCESS_VP_REGISTERS, 32),
  ofChild('HvCallDeletePort', P.CREATE_PORT),
  ofChild('HvCallDisconnectPort', P.CONNECT_PORT),
  ofChild('HvCallMapDeviceInterrupt', P.CPU_MANAGEMENT, 16),
  ofChild('HvCallUnmapDeviceInterrupt', P.CPU_MANAGEMENT),
  ofChild('HvCallAssertVirtualInterrupt', P.CREATE_PARTITIONS),
  ofChild('HvCallCreatePort', P.CREATE_PORT),
  ofChild('HvCallConnectPort', P.CONNECT_PORT),
  ofChild('HvCallSignalEventDirect', P.CREATE_PARTITIONS),
  ofChild('HvCallPostMessageDirect', P.CREATE_PARTITIONS),
]

/** A call that only the parent of its target may make, in the hands of a partition without children. */
function ofChild(
  name: HypercallName,
  privilege: HvPrivilege,
  outputBytes = 0,
): HypercallRow<HypercallCapabilities> {
  return { ...simpleCall(name, outputBytes), privilege, invoke: notTheParent }
}

function ofChildRep(
  name: HypercallName,
  privilege: HvPrivilege,
  elementBytes: number,
  outputElementBytes = 0,
): HypercallRow<HypercallCapabilities> {
  return { ...repCall(name, elementBytes, outputElementBytes), privilege, invoke: notTheParent }
}

function notTheParent(): HvStatus {
  return HvStatus.ACCESS_DENIED
}
