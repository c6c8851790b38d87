import { FileStatus } from './backing-file.ts'
import type { BackingFile } from './backing-file.ts'
import { DiskStatus } from './disk.ts'

const ZEROS: Uint8Array = new Uint8Array(1 << 16)

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

/** Writes zeros, as many as it is told. */
export function writeZeros(file: BackingFile, position: number, lengthBytes: number): FileStatus {
  for (let done = 0; done < lengthBytes; done += ZEROS.length) {
    const partBytes = Math.min(lengthBytes - done, ZEROS.length)
    const status = file.write(position + done, ZEROS, 0, partBytes)
    if (status !== FileStatus.OK) return status
  }
  return FileStatus.OK
}
