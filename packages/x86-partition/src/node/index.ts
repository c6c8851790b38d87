export { readProcessorModule } from './processor-module.ts'
export {
  linuxCacheFolder,
  readLinuxGuest,
  readManifest,
  type LinuxGuestFiles,
  type LinuxManifest,
} from './linux-cache.ts'
export { fetchLinux, type FetchOptions } from './fetch-linux.ts'
export {
  LinuxGuest,
  type LinuxGuestSetup,
  type LinuxPlatform,
  type MachineEngine,
} from './linux-guest.ts'
