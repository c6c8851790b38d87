// HOT: what every disk asks of a request before it does anything.

import { assert } from '@guestyard/hvdef'

import { DiskOperation, DiskStatus } from './disk.ts'
import type { DiskGeometry, DiskRequest } from './disk.ts'

/** OK when the disk may go on with the request; else the status that ends it. */
export function admit(geometry: DiskGeometry, request: DiskRequest): DiskStatus {
  const { operation, block, blockCount } = request
  if (operation === DiskOperation.FLUSH) return DiskStatus.OK
  if (operation !== DiskOperation.READ) {
    if (geometry.readOnly) return DiskStatus.READ_ONLY
    if (operation === DiskOperation.UNMAP && !geometry.canUnmap) return DiskStatus.UNSUPPORTED
  }
  const inside =
    block >= 0 &&
    blockCount >= 0 &&
    block <= geometry.blockCount &&
    blockCount <= geometry.blockCount - block
  if (!inside) return DiskStatus.OUT_OF_RANGE
  if (operation <= DiskOperation.WRITE) {
    const wanted = blockCount * geometry.logicalBlockBytes
    assert(request.data.totalBytes === wanted, 'A request brings as many bytes as its blocks have.')
  }
  return DiskStatus.OK
}
