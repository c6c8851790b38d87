export {
  type ByteSize,
  type ChannelPairOptions,
  type ChannelPort,
  channelPair,
} from './channel-pair.ts'
export { type ByteChannel, openBytes } from './messages/byte-channel.ts'
export { ChannelError, ChannelErrorCode } from './messages/channel-error.ts'
export { Doorbell, DOORBELL_BYTES, type WaitEnd } from './doorbell.ts'
export {
  IncomingRing,
  type IncomingRingInspection,
  type IncomingRingOptions,
  incomingPrivateBytes,
} from './incoming-ring.ts'
export { OutgoingRing, type OutgoingRingInspection } from './outgoing-ring.ts'
export { type OutgoingRingOptions, outgoingPrivateBytes, packetBytes } from './sending-end.ts'
export { RingFault, RingStatus, ringFaultName } from './ring-fault.ts'
export {
  RingKernel,
  type KernelKind,
  createRingKernel,
  hasWasmKernel,
  inspectRingMemories,
} from './ring-kernel.ts'
export {
  type LinkSide,
  type RingLink,
  type RingPort,
  createRingLink,
  openRingLink,
} from './ring-link.ts'
export {
  type RingPages,
  contiguousRingPages,
  initializeRing,
  ringBytes,
  ringPagesOf,
} from './ring-pages.ts'
export {
  type RingOpenFailure,
  RingPair,
  type RingPairOptions,
  createRingPair,
  openRings,
} from './ring-pair.ts'
export { RingEnd } from './ring-state.ts'
export {
  type RingWaitEnd,
  type WaitOptions,
  waitForPackets,
  waitForPacketsAsync,
  waitForSpace,
  waitForSpaceAsync,
} from './waiting.ts'
