export type { ChannelOffer, ConnectFailure, VmbusClientEvent } from './channel-offer.ts'
export { ClientChannel } from './client-channel.ts'
export type {
  ChannelListener,
  ClientChannelState,
  CloseReason,
  OpenFailure,
} from './client-channel.ts'
export type { OpenOptions } from './client-channels.ts'
export type { ClientState } from './client-connection.ts'
export type { ClientGpadl, ClientGpadlState, GpadlListener } from './client-gpadls.ts'
export type { ClientChannelInspection, VmbusClientInspection } from './inspection.ts'
export type { GpadlRangeOptions } from './messages.ts'
export type { ClientTransport } from './transport.ts'
export { VmbusClient } from './vmbus-client.ts'
export type { VmbusClientOptions } from './vmbus-client.ts'
