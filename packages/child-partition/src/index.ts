export type {
  ExposedFunctions,
  Guest,
  GuestProgram,
  GuestStreams,
  KeyEvent,
  PointerEvent,
  StreamWriter,
} from './api/guest.ts'
export type {
  BlockQueue,
  BlockRequest,
  DiskData,
  DiskEvent,
  DiskFailure,
  DiskOperationName,
  DmaBuffer,
  GuestBlocks,
  GuestDisk,
  GuestDisks,
  GuestDma,
  GuestPartition,
  NewPartitionTable,
} from './api/disks.ts'
export type { FrameQueue, FrameReceiver, GuestNic, GuestNics } from './api/nics.ts'
export type {
  GuestDatagram,
  GuestDatagrams,
  GuestInterface,
  GuestListener,
  GuestNet,
  GuestSocket,
  NetSettings,
  SocketEnd,
  SocketOptions,
} from './api/net.ts'
export { Kernel, type KernelOptions } from './kernel/kernel.ts'
export type { Processor } from './kernel/compute-queue.ts'
export { enlighten, KernelPage, type Enlightenment } from './kernel/boot.ts'
export type { Placement } from './kernel/page-allocator.ts'
export { GuestRuntime } from './guest-runtime.ts'
export { programOf } from './guest-program.ts'
export type {
  GuestEngine,
  GuestKernel,
  GuestMeters,
  GuestPlatform,
  GuestSetup,
  WaitedRun,
} from './guest-platform.ts'
export { GuestLogPort } from './guest-log-port.ts'
