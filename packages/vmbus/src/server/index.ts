export type { SavedBus, Unsaved } from './saved-bus.ts'
export { CHANNEL_TABLE } from './channel-state.ts'
export type { ChannelEventName, ChannelOutcome, ChannelStateName } from './channel-state.ts'
export type {
  GpadlRange,
  MappedGpadl,
  Offer,
  OfferOptions,
  OpenOutcome,
  OpenRefused,
  ServerChannel,
  VspDevice,
} from './device.ts'
export type { ChannelName, GuestError, GuestErrorCounts, VmbusServerEvent } from './events.ts'
export type { GpadlCounts } from './gpadls.ts'
export type { ChannelInspection, VmbusServerInspection } from './inspection.ts'
export { DEFAULT_LIMITS, GPADL_RANGE_BYTES, queuedMessagesBound } from './limits.ts'
export type { VmbusLimits } from './limits.ts'
export type { ChannelInterrupt, ServerTransport } from './transport.ts'
export { VmbusServer } from './vmbus-server.ts'
export type { VmbusServerOptions } from './vmbus-server.ts'
