// Small VHDX images, and requests to them, for tests.

import { DiskOperation, DiskRequest, DiskStatus, createVhdx, openVhdx } from '@guestyard/storage'
import type { Disk, ParentReference, VhdxCreateOptions, VhdxDisk } from '@guestyard/storage'

import { guidCounter } from './guids.ts'
import { SparseFile, type SparseBytes, type SparseFileOptions } from './sparse-file.ts'

export const MIB = 1024 * 1024
export const newGuid = guidCounter()

/** A new image, of 4 MiB with blocks of 1 MiB unless said otherwise. */
export function newImage(options: Partial<VhdxCreateOptions> = {}): SparseBytes {
  const file = new SparseFile()
  createVhdx(file, { virtualBytes: 4 * MIB, blockBytes: MIB, newGuid, ...options })
  return file.bytes
}

/** Opens a copy of an image, or the image itself to read from. */
export function openCopy(
  image: SparseBytes,
  options: SparseFileOptions & { readonly parents?: readonly SparseBytes[] } = {},
): { disk: VhdxDisk; file: SparseFile } {
  const file = new SparseFile({
    ...options,
    bytes: options.readOnly === true ? image : image.copy(),
  })
  return { disk: openVhdx(file, { newGuid, openParent: parentsOf(options.parents ?? []) }), file }
}

/** Parents in a row: the child's first. */
export function parentsOf(parents: readonly SparseBytes[]): () => SparseFile {
  let next = 0
  return () => {
    const bytes = parents[next]
    if (bytes === undefined) throw new Error('there is no such parent')
    next += 1
    return new SparseFile({ bytes, readOnly: true, name: `parent ${next}` })
  }
}

/** What a child of that image says of it. */
export function referenceTo(
  parent: SparseBytes,
  parents: readonly SparseBytes[] = [],
): ParentReference {
  const { disk } = openCopy(parent, { readOnly: true, parents })
  return {
    linkage: disk.dataWriteGuid,
    linkage2: null,
    relativePath: '.\\parent.vhdx',
    volumePath: null,
    absolutePath: null,
  }
}

/** Runs a request to its end, where syncs are done at once. Its status. */
export function run(
  disk: Disk,
  operation: DiskOperation,
  offset = 0,
  bytes: Uint8Array | number = 0,
  durable = false,
): DiskStatus {
  const length = typeof bytes === 'number' ? bytes : bytes.length
  const request = new DiskRequest(1)
  request.operation = operation
  request.block = offset / disk.geometry.logicalBlockBytes
  request.blockCount = length / disk.geometry.logicalBlockBytes
  request.durable = durable
  if (typeof bytes !== 'number') {
    request.data.beginBytes(bytes)
    if (length > 0) request.data.add(0, length)
  }
  disk.submit(request)
  for (let turn = 0; request.status === DiskStatus.PENDING && turn < 10_000; turn += 1) {
    disk.poll(64)
  }
  return request.status
}

export function write(disk: Disk, offset: number, bytes: Uint8Array): DiskStatus {
  return run(disk, DiskOperation.WRITE, offset, bytes)
}

export function flush(disk: Disk): DiskStatus {
  return run(disk, DiskOperation.FLUSH)
}

/** The bytes of a disk; throws when they can't be read. */
export function read(disk: Disk, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  const status = run(disk, DiskOperation.READ, offset, bytes)
  if (status !== DiskStatus.OK) throw new Error(`the read ended with ${status}`)
  return bytes
}

/** Closes a disk whose syncs are done at once. */
export function close(disk: Disk): DiskStatus {
  disk.close()
  for (let turn = 0; !disk.closed && turn < 10_000; turn += 1) disk.poll(64)
  return disk.closed ? disk.closeStatus : DiskStatus.PENDING
}

/** So many bytes of one value. */
export function filled(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value)
}
