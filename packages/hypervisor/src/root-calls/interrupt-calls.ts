// HOT (SignalEventDirect)
// What the root sends to a VP past ports: messages, event flags, interrupts, and what it wants to see of a VP.

import {
  ASSERT_LEVEL_TRIGGERED,
  ASSERT_LOGICAL_DESTINATION,
  HV_MESSAGE_MAX_PAYLOAD,
  HvInterruptType,
  HvPrivilege,
  HvStatus,
  PostMessageDirectInput,
} from '@guestyard/hvdef'

import { simpleCall } from '../hypercalls.ts'
import type { HypercallRow } from '../hypercalls.ts'
import type { PartitionTable } from '../partition-table.ts'
import type { Partition } from '../partition.ts'
import type { RootVp } from '../root-vp.ts'
import { partitionAt, u64At } from './call-arguments.ts'

/** Any numbers may be given. A target that is unknown: INVALID_PARTITION_ID; a VP: INVALID_VP_INDEX. */
export interface InterruptCallTargets {
  /** See Partition.signalEventToVp. */
  signalDirect(partition: number, vp: number, sint: number, flag: number): HvStatus
  /** See Partition.postMessageToVp. `payload` words from `payloadAt`. */
  postDirect(
    partition: number,
    vp: number,
    sint: number,
    type: number,
    size: number,
    sender: number,
    payload: Int32Array,
    payloadAt: number,
  ): HvStatus
  /** INVALID_PARAMETER: the vector, the kind of interrupt, or a destination without a VP. */
  assertInterrupt(
    partition: number,
    type: number,
    flags: number,
    destination: number,
    vector: number,
  ): HvStatus
  /** See InterceptMasks.install. */
  installIntercept(partition: number, type: number, accessMask: number, parameter: number): HvStatus
}

/** Every VP, as a physical destination. */
const BROADCAST = 0xff
const BROADCAST_X2 = 0xffff_ffff

export class InterruptCalls implements InterruptCallTargets {
  readonly #partitions: PartitionTable
  readonly #payload: Uint8Array = new Uint8Array(HV_MESSAGE_MAX_PAYLOAD)
  readonly #payloadWords: Int32Array = new Int32Array(this.#payload.buffer)

  constructor(partitions: PartitionTable) {
    this.#partitions = partitions
  }

  signalDirect(id: number, vp: number, sint: number, flag: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    return partition.signalEventToVp(vp, sint, flag)
  }

  postDirect(
    id: number,
    vp: number,
    sint: number,
    type: number,
    size: number,
    sender: number,
    payload: Int32Array,
    payloadAt: number,
  ): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    if (size > HV_MESSAGE_MAX_PAYLOAD) return HvStatus.INVALID_PARAMETER
    const words = (size + 3) >>> 2
    for (let word = 0; word < words; word++) this.#payloadWords[word] = payload[payloadAt + word]!
    return partition.postMessageToVp(vp, sint, type, this.#payload, size, sender)
  }

  assertInterrupt(
    id: number,
    type: number,
    flags: number,
    destination: number,
    vector: number,
  ): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    if ((flags & ~(ASSERT_LEVEL_TRIGGERED | ASSERT_LOGICAL_DESTINATION)) !== 0) {
      return HvStatus.INVALID_PARAMETER
    }
    const isLogical = (flags & ASSERT_LOGICAL_DESTINATION) !== 0
    const isLevel = (flags & ASSERT_LEVEL_TRIGGERED) !== 0
    if (type === HvInterruptType.LOWEST_PRIORITY) {
      const vp = partition.vps.find((each) => isMeant(each, destination, isLogical))
      return vp === undefined ? HvStatus.INVALID_PARAMETER : request(vp, type, vector, isLevel)
    }
    return requestOfAll(partition, type, vector, destination, isLogical, isLevel)
  }

  installIntercept(id: number, type: number, accessMask: number, parameter: number): HvStatus {
    const partition = this.#partitions.get(id)
    if (partition === undefined) return HvStatus.INVALID_PARTITION_ID
    if (partition.state === 'finalized') return HvStatus.INVALID_PARTITION_STATE
    return partition.installIntercept(type, accessMask, parameter)
  }
}

function requestOfAll(
  partition: Partition,
  type: number,
  vector: number,
  destination: number,
  isLogical: boolean,
  isLevel: boolean,
): HvStatus {
  let status: HvStatus = HvStatus.INVALID_PARAMETER
  for (const vp of partition.vps) {
    if (vp === undefined || !isMeant(vp, destination, isLogical)) continue
    status = request(vp, type, vector, isLevel)
    if (status !== HvStatus.SUCCESS) return status
  }
  return status
}

/** Physical: the APIC id, or one of the broadcasts. Logical, flat: a bit for each of the first eight VPs. */
function isMeant(vp: RootVp | undefined, destination: number, isLogical: boolean): vp is RootVp {
  if (vp === undefined) return false
  if (!isLogical) {
    return destination === vp.index || destination === BROADCAST || destination === BROADCAST_X2
  }
  return vp.index < 8 && destination <= 0xff && ((destination >>> vp.index) & 1) === 1
}

function request(vp: RootVp, type: number, vector: number, isLevel: boolean): HvStatus {
  switch (type) {
    case HvInterruptType.FIXED:
    case HvInterruptType.LOWEST_PRIORITY:
      return isLevel ? vp.requestLevelInterrupt(vector) : vp.requestInterrupt(vector, false)
    case HvInterruptType.NMI:
      vp.requestNmi()
      return HvStatus.SUCCESS
    default:
      return HvStatus.INVALID_PARAMETER
  }
}

interface Capabilities {
  readonly interrupts: InterruptCallTargets
}

const P = HvPrivilege
/** Words of the message in the input of PostMessageDirect: type, size, sender, payload. */
const MESSAGE: number = PostMessageDirectInput.at.message / 4

/** Rows of this family. */
export const INTERRUPT_CALLS: readonly HypercallRow<Capabilities>[] = [
  {
    ...simpleCall('HvCallSignalEventDirect'),
    privilege: P.CREATE_PARTITIONS,
    invoke({ interrupts }, { input }) {
      const target = input[3]!
      if ((target & 0xff) !== 0) return HvStatus.INVALID_PARAMETER
      const sint = (target >>> 8) & 0xff
      return interrupts.signalDirect(partitionAt(input, 0), input[2]! >>> 0, sint, target >>> 16)
    },
  },
  {
    ...simpleCall('HvCallPostMessageDirect'),
    privilege: P.CREATE_PARTITIONS,
    invoke({ interrupts }, { input }) {
      const target = input[3]!
      if ((target & 0xff) !== 0) return HvStatus.INVALID_PARAMETER
      return interrupts.postDirect(
        partitionAt(input, 0),
        input[2]! >>> 0,
        (target >>> 8) & 0xff,
        input[MESSAGE]!,
        input[MESSAGE + 1]! & 0xff,
        u64At(input, MESSAGE + 2),
        input,
        MESSAGE + 4,
      )
    },
  },
  {
    ...simpleCall('HvCallAssertVirtualInterrupt'),
    privilege: P.CREATE_PARTITIONS,
    invoke({ interrupts }, { input }) {
      if ((input[7]! & 0xff) !== 0) return HvStatus.INVALID_PARAMETER
      return interrupts.assertInterrupt(
        partitionAt(input, 0),
        input[2]! >>> 0,
        input[3]!,
        u64At(input, 4),
        input[6]! >>> 0,
      )
    },
  },
  {
    ...simpleCall('HvCallInstallIntercept'),
    privilege: P.CREATE_PARTITIONS,
    invoke: ({ interrupts }, { input }) =>
      interrupts.installIntercept(
        partitionAt(input, 0),
        input[3]! >>> 0,
        input[2]! >>> 0,
        u64At(input, 4),
      ),
  },
]
