// Bytes of a disk whose requests end when they are submitted, or in a few polls.

import { DiskOperation, DiskRequest, DiskStatus } from '@guestyard/storage'
import type { Disk } from '@guestyard/storage'

/** Throws when the disk can't. */
export function readBytes(disk: Disk, position: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes)
  run(disk, DiskOperation.READ, position, bytes)
  return bytes
}

export function writeBytes(disk: Disk, position: number, bytes: Uint8Array): void {
  run(disk, DiskOperation.WRITE, position, bytes)
}

/** For disks of files whose syncs are done when they have begun. */
export function closeNow(disk: Disk): void {
  disk.close()
  for (let polls = 0; !disk.closed && polls < 1000; polls++) disk.poll(64)
  if (!disk.closed || disk.closeStatus !== DiskStatus.OK) throw new Error('did not close well')
}

function run(disk: Disk, operation: DiskOperation, position: number, bytes: Uint8Array): void {
  const request = new DiskRequest(1)
  request.operation = operation
  request.block = position / disk.geometry.logicalBlockBytes
  request.blockCount = bytes.length / disk.geometry.logicalBlockBytes
  request.data.beginBytes(bytes)
  request.data.add(0, bytes.length)
  disk.submit(request)
  for (let polls = 0; request.status === DiskStatus.PENDING && polls < 1000; polls++) disk.poll(64)
  if (request.status !== DiskStatus.OK) throw new Error(`status ${request.status}`)
}
