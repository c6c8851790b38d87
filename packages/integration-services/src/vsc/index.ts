// The guest family's door.
export { HeartbeatVsc } from './heartbeat.ts'
export type { IcDriverState } from './ic-driver.ts'
export type { IcVsc } from './ic-vsc.ts'
export { ShutdownVsc } from './shutdown.ts'
export type { ShutdownListener, ShutdownOrder } from './shutdown.ts'
export { TimeSyncVsc } from './time-sync.ts'
export type { HostTime } from './time-sync.ts'
