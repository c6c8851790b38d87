export { ChannelRoute, type ChannelRouteCounts } from './channel-route.ts'
export { DeviceInterruptCalls } from './device-calls.ts'
export { InterruptLine, type InterruptSink } from './interrupt-line.ts'
export {
  DeviceVectors,
  InterruptRemapping,
  type InterruptRefusal,
  type InterruptRefusalReason,
  type InterruptTarget,
  type MapResult,
  type MsiEntry,
  type RemappingInspection,
} from './remapping.ts'
export type { LineChange } from './isa-lines.ts'
export { InterruptRouter, PortIds, type BusInbox, type InterruptInspection } from './route.ts'
