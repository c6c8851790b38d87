// Contracts and fakes for tests; never loaded by the package itself.

export {
  diskContract,
  type ContractCase,
  type DiskContractOptions,
} from './testing/disk-contract.ts'
export { MemoryFile, type MemoryFileOptions } from './testing/memory-file.ts'
export { losePower, type PowerLossOptions } from './testing/power-loss.ts'
export { openStorage, type OpenStorage, type OpenStorageOptions } from './testing/open-storage.ts'
