import { FileStatus } from './backing-file.ts'
import { DiskStatus } from './disk.ts'

/** What a write that the file refused is for whoever uses the disk. */
export function diskStatusOf(status: FileStatus): DiskStatus {
  switch (status) {
    case FileStatus.OK:
      return DiskStatus.OK
    case FileStatus.NO_SPACE:
      return DiskStatus.NO_SPACE
    case FileStatus.READ_ONLY:
      return DiskStatus.READ_ONLY
    case FileStatus.PENDING:
      return DiskStatus.PENDING
    case FileStatus.BEYOND_END:
    case FileStatus.IO_ERROR:
      return DiskStatus.WRITE_ERROR
  }
}
