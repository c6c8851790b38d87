export {
  SavedFileError,
  readSavedFile,
  stageSavedFile,
  writeSavedFile,
  type SavedFile,
  type StagedFile,
} from './saved-file.ts'
export {
  SAVED_VM_VERSION,
  diskChanged,
  keptApart,
  readSavedVm,
  savedDisks,
  type SavedDisk,
  type SavedVm,
  type SavedVmFile,
} from './saved-vm.ts'
