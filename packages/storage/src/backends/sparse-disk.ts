import type { Disk } from './disk.ts'

/** A disk that knows which of its blocks nobody has written. */
export interface SparseDisk extends Disk {
  /** The first block from this one on that may be other than zeros; the block count when there is none. */
  nextData(block: number): number
}

export function isSparse(disk: Disk): disk is SparseDisk {
  return 'nextData' in disk
}
