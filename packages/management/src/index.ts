export { startHost, Host, type HostOptions } from './vmms/host.ts'
export { Vm, LINUX_STOP_GRACE_MS, STOP_GRACE_MS, execAnswer } from './vmms/vm.ts'
export { VmLife, endedEarly, type VmRun, type VmState } from './vmms/vm-life.ts'
export {
  MEMORY_GRANULE_BYTES,
  MEMORY_MAX_BYTES,
  MEMORY_MIN_BYTES,
  vmSettings,
  type VmOptions,
  type VmSettings,
} from './vmms/settings.ts'
export {
  DISK_MAX_BYTES,
  MEMORY_DISK_MAX_BYTES,
  DiskPlaces,
  checkDiskSize,
  discOf,
  type DiskOptions,
} from './vmms/disk-settings.ts'
export { switchSpecs, type SwitchOptions, type SwitchesOptions } from './vmms/switch-settings.ts'
export { type NicOptions } from './vmms/nic-settings.ts'
export { schedulerSettings, type SchedulerOptions } from './vmms/scheduler-settings.ts'
export type { DiskAddress } from '@guestyard/root-partition/worker-protocol'
export { IdeDisks } from './vmwp/emulated/ide-disks.ts'
export { EmulatedMachine } from './vmwp/emulated/machine.ts'
export { hostEnvironment } from './thread-start.ts'
export type { LogOptions } from './vmms/log-service.ts'
export type {
  BootReport,
  ExecAnswer,
  GuestInspection,
  LinuxSettings,
  VmExit,
  VmExitReason,
} from './vmwp/protocol.ts'
