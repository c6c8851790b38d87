// The devices that every partition is offered, made per partition. What guests of different partitions share (the hub
// that joins relay streams) is made once per root.

import { KeyboardVsp, MouseVsp, keyboardOffer, mouseOffer } from '@guestyard/input/vsp'
import { LoadVsp, loadOffer, type RelayHub } from '@guestyard/load-device/vsp'
import type { VmbusServer } from '@guestyard/vmbus/server'

/** The provider ends of one partition's devices. */
export interface PartitionDevices {
  readonly keyboard: KeyboardVsp
  readonly mouse: MouseVsp
  readonly load: LoadVsp
}

/** Makes a partition's devices and offers them on its bus. */
export function offerDevices(
  bus: VmbusServer,
  hub: RelayHub,
  partitionId: number,
): PartitionDevices {
  const devices = {
    keyboard: new KeyboardVsp(),
    mouse: new MouseVsp(),
    load: new LoadVsp({ hub, partitionKey: partitionId }),
  }
  bus.offer(keyboardOffer, devices.keyboard)
  bus.offer(mouseOffer, devices.mouse)
  bus.offer(loadOffer, devices.load)
  return devices
}
