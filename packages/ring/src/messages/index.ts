export {
  type ByteSize,
  type ChannelPairOptions,
  type ChannelPort,
  channelPair,
} from '../channel-pair.ts'
export { type ByteChannel, openBytes } from './byte-channel.ts'
export { Channel, type ChannelInspection } from './channel.ts'
export { ChannelError, ChannelErrorCode } from './channel-error.ts'
export type { OpenOptions } from './channel-link.ts'
export { type MessageChannelOptions, type TypedChannel, openMessages } from './typed-channel.ts'
export type { WaitOptions } from './waiter.ts'
