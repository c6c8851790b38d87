// The guest family's door: programs for one open channel of the load device.
export { LoadRunner } from './load-runner.ts'
export type {
  LatencyRecorder,
  LoadOutcome,
  LoadRunnerOptions,
  LoadRunnerState,
} from './load-runner.ts'
export { RelayReceiver } from './relay-receiver.ts'
export type { RelayReceiverOptions, RelayReceiverOutcome } from './relay-receiver.ts'
export { RelaySender } from './relay-sender.ts'
export type { RelaySenderOptions, RelaySenderOutcome } from './relay-sender.ts'
export { SubChannelRequest } from './sub-channel-request.ts'
export type { SubChannelOutcome, SubChannelRequestOptions } from './sub-channel-request.ts'
