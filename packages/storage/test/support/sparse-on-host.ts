import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'

import type { SparseBytes } from './sparse-file.ts'

/** Writes bytes to a file of the host, with holes where there are zeros. */
export function writeSparse(path: string, bytes: SparseBytes): void {
  const fd = openSync(path, 'w')
  for (const [offset, page] of bytes.stored()) {
    writeSync(fd, page, 0, Math.min(page.length, bytes.size - offset), offset)
  }
  ftruncateSync(fd, bytes.size)
  closeSync(fd)
}
