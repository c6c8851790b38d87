export { ScatterList } from './backends/scatter-list.ts'
export {
  DiskOperation,
  DiskRequest,
  DiskStatus,
  type Disk,
  type DiskGeometry,
} from './backends/disk.ts'
export { FileStatus, type BackingFile } from './backends/backing-file.ts'
export { ImageError, type ImageFinding, type ImageJob } from './backends/image.ts'
export {
  MEMORY_DISK_MAX_BYTES,
  MemoryDisk,
  type MemoryDiskOptions,
} from './backends/memory-disk.ts'
export { growDisk } from './backends/grow-disk.ts'
export { RawDisk, type RawDiskOptions } from './backends/raw-disk.ts'
export { createVhd, type CreateVhdOptions } from './backends/vhd/create-vhd.ts'
export { openVhd, type VhdOptions } from './backends/vhd/vhd-disk.ts'
export { looksLikeVhd } from './backends/vhd/structures.ts'
export { LimitedDisk, type DiskClock, type DiskLimits } from './backends/limited-disk.ts'
export {
  checkVhdx,
  compactVhdx,
  createVhdx,
  growVhdx,
  mergeVhdx,
  openVhdx,
  readVhdxInfo,
  type OpenParent,
  type ParentReference,
  type VhdxCheck,
  type VhdxCreateOptions,
  type VhdxDisk,
  type VhdxFinding,
  type VhdxInfo,
  type VhdxOpenOptions,
} from './backends/vhdx/index.ts'
