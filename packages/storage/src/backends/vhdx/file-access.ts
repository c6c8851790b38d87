// Reading and writing the file where a failure is an error for people: opening, checking, jobs. The data path has statuses instead.

import { FileStatus, type BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'

/** `lengthBytes` of the file at `position`. Throws an `ImageError` that names `field`. */
export function readField(
  file: BackingFile,
  field: string,
  position: number,
  lengthBytes: number,
): Uint8Array {
  const bytes = new Uint8Array(lengthBytes)
  if (position + lengthBytes > file.sizeBytes) {
    throw new ImageError(file.name, field, 'the file ends before its end')
  }
  const status = file.read(position, bytes, 0, lengthBytes)
  if (status !== FileStatus.OK) throw fileFailure(file, field, status, 'read')
  return bytes
}

/** Writes all of `bytes`. Throws an `ImageError` that names `field`. */
export function writeField(
  file: BackingFile,
  field: string,
  position: number,
  bytes: Uint8Array,
): void {
  const status = file.write(position, bytes, 0, bytes.length)
  if (status !== FileStatus.OK) throw fileFailure(file, field, status, 'written')
}

/** What a status of the file is, as an error for people. */
export function fileFailure(
  file: BackingFile,
  field: string,
  status: FileStatus,
  done: 'read' | 'written' | 'resized' | 'flushed',
): ImageError {
  switch (status) {
    case FileStatus.BEYOND_END:
      return new ImageError(file.name, field, 'the file ends before its end')
    case FileStatus.NO_SPACE:
      return new ImageError(file.name, field, 'no space left for it on the host')
    case FileStatus.READ_ONLY:
      return new ImageError(file.name, field, 'the file is only read')
    case FileStatus.OK:
    case FileStatus.PENDING:
    case FileStatus.IO_ERROR:
      return new ImageError(file.name, field, `can't be ${done}: ${file.lastError}`)
  }
}
