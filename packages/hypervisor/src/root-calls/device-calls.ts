// Interrupts of devices that the root owns or has given away: the calls. Which vector of which VP a device's message leads to is
// the root's own table, handed in as `DeviceInterrupts`.

import { HvPrivilege, HvStatus } from '@guestyard/hvdef'

import { simpleCall } from '../hypercalls.ts'
import type { HypercallRow } from '../hypercalls.ts'
import { partitionAt, u64At } from './call-arguments.ts'

/** A message that a device writes (HV_INTERRUPT_ENTRY). */
export interface InterruptMessage {
  address: number
  data: number
}

/** Where a device's interrupt is to go. */
export interface InterruptDestination {
  readonly vector: number
  readonly isLevel: boolean
  /** Every VP of the mask takes it, not any one. */
  readonly isMulticast: boolean
  /** VPs of the partition, as a mask of the first 64 in two halves. */
  readonly vpsLow: number
  readonly vpsHigh: number
}

/**
 * The root's table of device interrupts. Root's thread. Any numbers may be given; statuses are the call's: INVALID_DEVICE_ID,
 * INVALID_PARAMETER, INVALID_PARTITION_ID, NO_RESOURCES.
 */
export interface DeviceInterrupts {
  /** Gives the device a message for the destination, in `out`. */
  map(
    partition: number,
    deviceId: number,
    destination: InterruptDestination,
    out: InterruptMessage,
  ): HvStatus
  unmap(partition: number, deviceId: number, message: InterruptMessage): HvStatus
  retarget(
    partition: number,
    deviceId: number,
    message: InterruptMessage,
    destination: InterruptDestination,
  ): HvStatus
}

/** A machine whose root has no such table: no device is known. */
export const NO_DEVICES: DeviceInterrupts = {
  map: () => HvStatus.INVALID_DEVICE_ID,
  unmap: () => HvStatus.INVALID_DEVICE_ID,
  retarget: () => HvStatus.INVALID_DEVICE_ID,
}

interface Capabilities {
  readonly devices: DeviceInterrupts
}

const SOURCE_MSI = 1
/** Flags of a target. */
const MULTICAST = 0x1
const VP_SET = 0x2
/** Formats of a VP set. */
const SET_SPARSE = 0
const SET_ALL = 1

/** Rows of this family. */
export const DEVICE_CALLS: readonly HypercallRow<Capabilities>[] = [
  {
    ...simpleCall('HvCallMapDeviceInterrupt', 16),
    variableHeader: true,
    privilege: HvPrivilege.CPU_MANAGEMENT,
    invoke({ devices }, { input, output, variableWord, variableQwords }) {
      const destination = destinationAt(input, 14, variableWord, variableQwords, input[11] === 1)
      if (destination === null) return HvStatus.INVALID_PARAMETER
      const out: InterruptMessage = { address: 0, data: 0 }
      const status = devices.map(partitionAt(input, 0), u64At(input, 2), destination, out)
      output[0] = SOURCE_MSI
      output[1] = 0
      output[2] = out.address
      output[3] = out.data
      return status
    },
  },
  {
    ...simpleCall('HvCallUnmapDeviceInterrupt'),
    privilege: HvPrivilege.CPU_MANAGEMENT,
    invoke({ devices }, { input }) {
      if (input[4] !== SOURCE_MSI) return HvStatus.INVALID_PARAMETER
      return devices.unmap(partitionAt(input, 0), u64At(input, 2), messageAt(input, 4))
    },
  },
  {
    ...simpleCall('HvCallRetargetDeviceInterrupt'),
    variableHeader: true,
    privilege: null,
    invoke({ devices }, { input, variableWord, variableQwords }) {
      if (input[4] !== SOURCE_MSI) return HvStatus.INVALID_PARAMETER
      const destination = destinationAt(input, 10, variableWord, variableQwords, false)
      if (destination === null) return HvStatus.INVALID_PARAMETER
      return devices.retarget(
        partitionAt(input, 0),
        u64At(input, 2),
        messageAt(input, 4),
        destination,
      )
    },
  },
]

function messageAt(input: Int32Array, word: number): InterruptMessage {
  return { address: input[word + 2]! >>> 0, data: input[word + 3]! >>> 0 }
}

/**
 * An HV_DEVICE_INTERRUPT_TARGET. With a VP set, its format takes the place of the mask, and the variable header holds the valid
 * banks and a u64 for each of them; VPs from 64 on are nobody's. Null: flags, format, or a header that misses banks.
 */
function destinationAt(
  input: Int32Array,
  word: number,
  variableWord: number,
  variableQwords: number,
  isLevel: boolean,
): InterruptDestination | null {
  const vector = input[word]! >>> 0
  const flags = input[word + 1]!
  if ((flags & ~(MULTICAST | VP_SET)) !== 0) return null
  let vpsLow = input[word + 2]! >>> 0
  let vpsHigh = input[word + 3]! >>> 0
  if ((flags & VP_SET) !== 0) {
    if (vpsHigh !== 0) return null
    if (vpsLow === SET_ALL) {
      vpsLow = 0xffff_ffff
      vpsHigh = 0xffff_ffff
    } else {
      if (vpsLow !== SET_SPARSE || variableQwords < 1) return null
      const banks = input[variableWord]!
      const hasFirst = (banks & 1) !== 0
      if (hasFirst && variableQwords < 2) return null
      vpsLow = hasFirst ? input[variableWord + 2]! >>> 0 : 0
      vpsHigh = hasFirst ? input[variableWord + 3]! >>> 0 : 0
    }
  } else if (variableQwords !== 0) return null
  if (vpsLow === 0 && vpsHigh === 0) return null
  const isMulticast = (flags & MULTICAST) !== 0
  return { vector, isLevel, isMulticast, vpsLow, vpsHigh }
}
