// The devices that every partition is offered, made per partition. What guests of different partitions share (the hub
// that joins relay streams) is made once per root.

import { IntegrationHost } from '@guestyard/integration-services/vsp'
import type { TimeSyncOptions } from '@guestyard/integration-services/vsp'
import { KeyboardVsp, MouseVsp, keyboardOffer, mouseOffer } from '@guestyard/input/vsp'
import { LoadVsp, loadOffer, type RelayHub } from '@guestyard/load-device/vsp'
import type { VmbusServer } from '@guestyard/vmbus/server'

/** The provider ends of one partition's devices. */
export interface PartitionDevices {
  readonly keyboard: KeyboardVsp
  readonly mouse: MouseVsp
  readonly load: LoadVsp
  /** Heartbeat, shutdown and time synchronisation. */
  readonly integration: IntegrationHost
}

/** What devices share with those of other partitions, or with their partition. */
export interface ProviderParts {
  readonly hub: RelayHub
  readonly partitionId: number
  /** Clocks of the integration services, and who meets their deadlines. */
  readonly time: TimeSyncOptions
}

/** Makes a partition's devices and offers them on its bus. */
export function offerDevices(
  bus: VmbusServer,
  { hub, partitionId, time }: ProviderParts,
): PartitionDevices {
  const devices = {
    keyboard: new KeyboardVsp(),
    mouse: new MouseVsp(),
    load: new LoadVsp({ hub, partitionKey: partitionId }),
    integration: new IntegrationHost(time),
  }
  bus.offer(keyboardOffer, devices.keyboard)
  bus.offer(mouseOffer, devices.mouse)
  bus.offer(loadOffer, devices.load)
  devices.integration.offer(bus)
  return devices
}
