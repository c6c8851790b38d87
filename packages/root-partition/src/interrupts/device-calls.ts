// The calls about device interrupts, as the hypervisor hands them to the root: HvCallMapDeviceInterrupt and its siblings name a
// partition, and each partition has a table of its own. Root thread only.

import { HvStatus } from '@guestyard/hvdef'
import type {
  DeviceInterrupts,
  InterruptDestination,
  InterruptMessage,
} from '@guestyard/hypervisor'

import type { InterruptRemapping, InterruptTarget } from './remapping.ts'

/** VPs that a mask can name. */
const MASK_VPS = 64

export class DeviceInterruptCalls implements DeviceInterrupts {
  readonly #tables: Map<number, InterruptRemapping> = new Map()

  add(partition: number, table: InterruptRemapping): void {
    this.#tables.set(partition, table)
  }

  remove(partition: number): void {
    this.#tables.delete(partition)
  }

  map(
    partition: number,
    deviceId: number,
    destination: InterruptDestination,
    out: InterruptMessage,
  ): HvStatus {
    const table = this.#tables.get(partition)
    if (table === undefined) return HvStatus.INVALID_PARTITION_ID
    const mapped = table.map(deviceId, targetOf(destination, table), destination.isLevel)
    if (!mapped.ok) return mapped.status
    out.address = mapped.entry.address
    out.data = mapped.entry.data
    return HvStatus.SUCCESS
  }

  unmap(partition: number, deviceId: number, message: InterruptMessage): HvStatus {
    const table = this.#tables.get(partition)
    return table?.unmap(deviceId, message) ?? HvStatus.INVALID_PARTITION_ID
  }

  retarget(
    partition: number,
    deviceId: number,
    message: InterruptMessage,
    destination: InterruptDestination,
  ): HvStatus {
    const table = this.#tables.get(partition)
    if (table === undefined) return HvStatus.INVALID_PARTITION_ID
    return table.retarget(deviceId, message, targetOf(destination, table))
  }
}

/** VPs of the mask that are there: "all VPs" names many that are not. */
function targetOf(destination: InterruptDestination, table: InterruptRemapping): InterruptTarget {
  const { vector, isMulticast, vpsLow, vpsHigh } = destination
  const vps: number[] = []
  for (let vp = 0; vp < MASK_VPS; vp += 1) {
    const half = vp < 32 ? vpsLow : vpsHigh
    if (((half >>> (vp & 31)) & 1) === 1 && table.hasVp(vp)) vps.push(vp)
  }
  return { vector, vps, multicast: isMulticast }
}
