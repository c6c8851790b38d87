// The file below a disk image, as formats see it. Node's files are behind the ./file door; tests have files that lose power.

export const FileStatus = {
  OK: 0,
  /** A sync that is under way. */
  PENDING: 1,
  /** The range goes beyond the file's end. */
  BEYOND_END: 2,
  NO_SPACE: 3,
  IO_ERROR: 4,
  READ_ONLY: 5,
} as const
export type FileStatus = (typeof FileStatus)[keyof typeof FileStatus]

/**
 * A file of bytes. Reads and writes are done when they return, into the page cache of the host; durable are those that returned
 * before a `sync` began which has ended with OK. Between syncs the host may write them back in any order, a sector at a time.
 */
export interface BackingFile {
  /** What messages call it: a path. */
  readonly name: string
  readonly readOnly: boolean
  readonly sizeBytes: number
  /** Fills `bytes[at .. at + lengthBytes]` from the file, whole or not at all as far as the status says. HOT. */
  read(position: number, bytes: Uint8Array, at: number, lengthBytes: number): FileStatus
  /** Writes past the end make the file longer; a hole reads as zeros. HOT. */
  write(position: number, bytes: Uint8Array, at: number, lengthBytes: number): FileStatus
  /** Makes the file longer (zeros) or shorter. */
  resize(sizeBytes: number): FileStatus
  /** Begins to make durable what was written. A ticket for `syncStatus`; tickets count up, and a later one covers the earlier. */
  sync(): number
  /** What became of it: PENDING, OK or IO_ERROR. One that failed says so for ever: the host may have dropped the data. */
  syncStatus(ticket: number): FileStatus
  /** What the host said about the last failure: `ENOSPC: no space left on device, write`. */
  readonly lastError: string
  close(): void
}
