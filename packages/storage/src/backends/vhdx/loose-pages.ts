// Changing bytes of metadata and region tables: whole pages of 4 KiB, through the log.

import { FileStatus, type BackingFile } from '../backing-file.ts'
import { SECTOR } from './format.ts'
import type { Journal } from './journal.ts'

export interface Patch {
  readonly offset: number
  readonly bytes: Uint8Array
}

/**
 * Logs the pages around some bytes, with these in them. All changes of one commit to such pages come in one call. When it is not OK,
 * nothing is logged.
 */
export function patchPages(
  file: BackingFile,
  journal: Journal,
  patches: readonly Patch[],
): FileStatus {
  const pages = new Map<number, Uint8Array>()
  for (const { offset, bytes } of patches) {
    const end = offset + bytes.length
    for (let at = offset - (offset % SECTOR); at < end; at += SECTOR) {
      let page = pages.get(at)
      if (page === undefined) {
        page = new Uint8Array(SECTOR)
        const status = file.read(at, page, 0, SECTOR)
        if (status !== FileStatus.OK) return status
        pages.set(at, page)
      }
      const from = Math.max(at, offset)
      page.set(bytes.subarray(from - offset, Math.min(at + SECTOR, end) - offset), from - at)
    }
  }
  for (const [offset, page] of pages) journal.logPage(offset, page)
  return FileStatus.OK
}
