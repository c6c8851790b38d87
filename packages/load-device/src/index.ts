// The door of the package itself: what both families and their callers share. The families have doors of
// their own, ./vsp and ./vsc; the wire is behind ./protocol.
export { LOAD_CLASS_ID, LOAD_INSTANCE_ID } from './protocol.ts'
export {
  LOAD_BATCH_MAX,
  LOAD_CHANNELS_MAX,
  LOAD_PAYLOAD_MAX_BYTES,
  LOAD_PAYLOAD_MIN_BYTES,
  LOAD_SUB_CHANNELS_MAX,
  LOAD_WINDOW_MAX,
} from './limits.ts'
export { checkChannelLoadSpec, checkLoadSpec, sumChannelResults } from './load-spec.ts'
export type {
  ChannelLoadResult,
  ChannelLoadSpec,
  EncodedLatency,
  LoadCpuTime,
  LoadDirection,
  LoadExtent,
  LoadLoop,
  LoadResult,
  LoadSpec,
  LoadSpecProblem,
  LoadWaiting,
} from './load-spec.ts'
