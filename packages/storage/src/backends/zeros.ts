// Zeros as a file is given them.

import { GuestMemory } from '@guestyard/guestmem'

import { FileStatus } from './backing-file.ts'
import type { BackingFile } from './backing-file.ts'

const ZERO_BYTES = 256 * 1024

/** Nobody writes into it. */
let zeros: Uint8Array | null = null

/**
 * Writes zeros, as many as it is told. They begin at a page of memory, as guests' RAM does: a host that is killed in mid-write has
 * written up to some page's end of what it was given, which is a sector's end only when both begin together.
 */
export function writeZeros(file: BackingFile, position: number, lengthBytes: number): FileStatus {
  zeros ??= GuestMemory.create({ sizeBytes: ZERO_BYTES }).u8
  for (let done = 0; done < lengthBytes; done += ZERO_BYTES) {
    const partBytes = Math.min(lengthBytes - done, ZERO_BYTES)
    const status = file.write(position + done, zeros, 0, partBytes)
    if (status !== FileStatus.OK) return status
  }
  return FileStatus.OK
}
