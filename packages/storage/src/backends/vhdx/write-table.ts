// Writing a BAT, or the new part of one, that nothing leads to yet: not through the log.

import { FileStatus, type BackingFile } from '../backing-file.ts'
import type { BlockTable } from './block-table.ts'
import { SECTOR } from './format.ts'

const PAGES_AT_ONCE = 64

/** Writes the pages of a table from `firstPage` on. */
export function writeTable(file: BackingFile, table: BlockTable, firstPage: number): FileStatus {
  const pages = new Uint8Array(PAGES_AT_ONCE * SECTOR)
  for (let page = firstPage; page < table.pageCount; page += PAGES_AT_ONCE) {
    const count = Math.min(PAGES_AT_ONCE, table.pageCount - page)
    for (let at = 0; at < count; at += 1) table.encodePage(page + at, pages, at * SECTOR)
    const status = file.write(table.offset + page * SECTOR, pages, 0, count * SECTOR)
    if (status !== FileStatus.OK) return status
  }
  return FileStatus.OK
}
