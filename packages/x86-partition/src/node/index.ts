export { readProcessorModule } from './processor-module.ts'
export {
  linuxCacheFolder,
  readLinuxGuest,
  readManifest,
  type LinuxGuestFiles,
  type LinuxManifest,
} from './linux-cache.ts'
export { fetchLinux, type FetchOptions } from './fetch-linux.ts'
export { FetchError } from './fetch/fetch-error.ts'
export type { FetchedBytes } from './fetch/package-source.ts'
export {
  LinuxGuest,
  type LinuxGuestSetup,
  type LinuxPlatform,
  type MachineEngine,
} from './linux-guest.ts'
export type { SavedLinux } from '../worker-protocol.ts'
