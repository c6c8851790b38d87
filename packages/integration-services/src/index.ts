// The door of the package itself: what both families share. The families have doors of their own, ./vsp and ./vsc.
export {
  ApplicationState,
  HEARTBEAT_CLASS_ID,
  HEARTBEAT_INSTANCE_ID,
  HEARTBEAT_INTERVAL_MS,
  IcStatus,
  SHUTDOWN_CLASS_ID,
  SHUTDOWN_INSTANCE_ID,
  ShutdownFlags,
  TIME_SAMPLE_INTERVAL_MS,
  TIME_SYNC_CLASS_ID,
  TIME_SYNC_INSTANCE_ID,
} from './protocol.ts'
