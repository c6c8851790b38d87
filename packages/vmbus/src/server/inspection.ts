// The server as plain data, for the command line, WMI and tests.

import type { IommuInspection } from '@guestyard/guestmem'
import type { Guid } from '@guestyard/hvdef'
import type { ChannelStateName } from './channel-state.ts'
import type { ConnectionState } from './connection-state.ts'
import type { GuestErrorCounts } from './events.ts'
import type { GpadlCounts } from './gpadls.ts'
import type { HostChannel } from './host-channel.ts'

export interface ChannelInspection {
  readonly relid: number
  readonly classId: Guid
  readonly instanceId: Guid
  readonly subChannelIndex: number
  readonly state: ChannelStateName
  /** 0 unless the device runs. */
  readonly targetVp: number
}

export interface VmbusServerInspection {
  readonly connection: ConnectionState['is']
  /** Version in force, 0 without a connection. */
  readonly version: number
  readonly channels: readonly ChannelInspection[]
  readonly relidsInUse: number
  /** Devices that have not stopped. */
  readonly devicesInUse: number
  /** Channels that the next poll looks at. */
  readonly activeChannels: number
  /** Channels that their devices gave up, over the bus's life: the guest broke a ring or a protocol. */
  readonly channelsFailed: number
  readonly gpadls: GpadlCounts
  /** Domains of the devices, and what they did outside of them. */
  readonly iommu: IommuInspection
  readonly queuedMessages: number
  readonly sentMessages: number
  /** Messages that no slot of the guest could ever take. */
  readonly undeliverableMessages: number
  readonly receivedMessages: number
  readonly errors: GuestErrorCounts
  /** Signals for channels that are not open. */
  readonly strayInterrupts: number
}

export function inspectChannel(record: HostChannel): ChannelInspection {
  return {
    relid: record.relid,
    classId: record.offered.classId,
    instanceId: record.offered.instanceId,
    subChannelIndex: record.subChannelIndex,
    state: record.state,
    targetVp: record.opened?.targetVp ?? 0,
  }
}
