export {
  GUEST_MEMORY_MAX_BYTES,
  GuestMemory,
  type GuestMemoryOptions,
  type ProcessorRooms,
} from './guest-memory.ts'
export { PageList } from './page-list.ts'
export { PageRangeWalker, copyFromRanges, copyToRanges } from './gpa-range.ts'
export {
  PageRangeStatus,
  PageRangeTable,
  encodePageRange,
  encodedRangeBytes,
  parsePageRanges,
} from './page-range-table.ts'
export { DmaDomain, type DmaDomainInspection, type Revoked } from './dma-domain.ts'
export { DMA_FAULTS_KEPT, type DmaFault, type DmaFaultReason } from './dma-faults.ts'
export { DmaPages } from './dma-pages.ts'
export { Iommu, type IommuInspection } from './iommu.ts'
export {
  type CopyKernel,
  createCopyKernel,
  createCopyKernelTwin,
  hasMultiMemory,
} from './copy-kernel.ts'
export { type MemoryKernel, createMemoryKernel, createMemoryKernelTwin } from './memory-kernel.ts'
export {
  type TransferKernel,
  createGuestTransferKernel,
  createTransferKernel,
  createTransferKernelTwin,
} from './transfer-kernel.ts'
export {
  WASM_PAGE_SIZE,
  type WasmExports,
  type WasmMemory,
  type WasmModule,
  type WasmNamespace,
  compileBase64,
  wasm,
} from './wasm.ts'
export {
  SLAT_GPA_PAGES_MAX,
  Slat,
  type SlatInspection,
  type SlatOptions,
  type SlatWatcher,
} from './slat.ts'
export {
  SLAT_CHUNK_PAGES,
  SLAT_DIRECTORY,
  SLAT_HEADER,
  SLAT_RIGHTS_ALL,
  SlatKind,
  SlatRight,
  type SlatWordOwner,
  slatAllows,
  slatEntry,
  slatKind,
  slatNumber,
  slatRights,
} from './slat-layout.ts'
export { SlatDeviceReader } from './slat-device-reader.ts'
export { SlatReader } from './slat-reader.ts'
