// Making an image: the structures of an empty disk, all of them at once, into an empty file.

import { parseGuid } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'
import { NIL_GUID, writeGuid } from '@guestyard/hvdef'

import { FileStatus, type BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import { BlockTable } from './block-table.ts'
import { fileFailure, writeField } from './file-access.ts'
import {
  BAT_REGION,
  BLOCK_BYTES_MAX,
  BLOCK_BYTES_MIN,
  BlockState,
  FILE_MIB_MAX,
  FILE_SIGNATURE,
  FileIdentifier,
  HEADER_OFFSETS,
  KIB,
  METADATA_REGION,
  MIB,
  REGION_TABLE_OFFSETS,
  VIRTUAL_BYTES_MAX,
} from './format.ts'
import { encodeHeader } from './header.ts'
import { encodeMetadata, type NewMetadata } from './metadata.ts'
import { encodeParentLocator, type ParentReference } from './parent-locator.ts'
import { encodeRegions } from './regions.ts'
import { writeTable } from './write-table.ts'

const CREATOR = 'Guestyard'
const DYNAMIC_BLOCK_BYTES = 32 * MIB
/** Differencing images have smaller blocks: each write takes one of its own, over its parent's. */
const DIFFERENCING_BLOCK_BYTES = 2 * MIB
const LOG_BYTES = MIB

export interface VhdxCreateOptions {
  /** Whole logical sectors, up to 64 TiB. */
  readonly virtualBytes: number
  /** Every block is allocated from the start. The file is sparse all the same, where the host can do that. */
  readonly fixed?: boolean
  /** A power of two, 1 MiB to 256 MiB; 32 MiB unless given, 2 MiB for a differencing image. */
  readonly blockBytes?: number
  /** 512 unless given; a child has its parent's. */
  readonly logicalSectorBytes?: 512 | 4096
  /** 4096 unless given: with logical sectors of 512 that is "512e". */
  readonly physicalSectorBytes?: 512 | 4096
  /** Of a differencing image. `linkage` is the parent's data write GUID. */
  readonly parent?: ParentReference
  /** What names the disk; a new GUID unless given. A child has its parent's. */
  readonly diskId?: Uint8Array
  readonly newGuid: () => Guid
}

/**
 * Writes a new image into an empty file, and begins a sync, whose ticket is returned: the image is durable when that is done. The
 * identifier comes last, so that a file whose making was interrupted is none. Throws an `ImageError`.
 */
export function createVhdx(file: BackingFile, options: VhdxCreateOptions): number {
  if (file.sizeBytes !== 0) throw new ImageError(file.name, '', 'there is something in the file')
  const metadata = metadataOf(file, options)
  const parent = options.parent ?? null
  const batOffset = MIB + LOG_BYTES + MIB
  const table = new BlockTable({ ...metadata, parent, places: new Map() }, batOffset)
  const batBytes = Math.ceil((table.entryCount * 8) / MIB) * MIB
  let endMib = (batOffset + batBytes) / MIB
  if (metadata.leaveAllocated) {
    const blockMib = metadata.blockBytes / MIB
    if (endMib + table.blockCount * blockMib > FILE_MIB_MAX) {
      throw new ImageError(file.name, 'virtual disk size', 'a file of this size is none')
    }
    for (let block = 0; block < table.blockCount; block += 1) {
      table.place(table.indexOf(block), endMib, BlockState.FULLY_PRESENT)
      endMib += blockMib
    }
  }
  const status = file.resize(endMib * MIB)
  if (status !== FileStatus.OK) throw fileFailure(file, '', status, 'resized')

  // The log is written though it is zeros: a flush must not fail for want of space for it.
  writeField(file, 'log', MIB, new Uint8Array(LOG_BYTES))
  writeField(file, 'metadata', MIB + LOG_BYTES, encodeMetadata(metadata))
  if (metadata.leaveAllocated) {
    const written = writeTable(file, table, 0)
    if (written !== FileStatus.OK) throw fileFailure(file, 'BAT', written, 'written')
  }
  const regions = encodeRegions([
    { regionId: BAT_REGION, offset: batOffset, length: batBytes, required: true },
    { regionId: METADATA_REGION, offset: MIB + LOG_BYTES, length: MIB, required: true },
  ])
  for (const offset of REGION_TABLE_OFFSETS) writeField(file, 'region table', offset, regions)
  const header = {
    fileWriteGuid: options.newGuid(),
    dataWriteGuid: options.newGuid(),
    logGuid: NIL_GUID,
    logOffset: MIB,
    logLength: LOG_BYTES,
  }
  for (const slot of [0, 1] as const) {
    const bytes = encodeHeader({ ...header, sequenceNumber: BigInt(slot + 1) })
    writeField(file, `header ${slot + 1}`, HEADER_OFFSETS[slot], bytes)
  }
  writeField(file, 'file identifier', 0, identifier())
  return file.sync()
}

function metadataOf(file: BackingFile, options: VhdxCreateOptions): NewMetadata {
  const hasParent = options.parent !== undefined
  const blockBytes =
    options.blockBytes ?? (hasParent ? DIFFERENCING_BLOCK_BYTES : DYNAMIC_BLOCK_BYTES)
  const logicalBytes = options.logicalSectorBytes ?? 512
  const physicalBytes = options.physicalSectorBytes ?? 4096
  const { virtualBytes } = options
  if (
    !Number.isInteger(blockBytes) ||
    blockBytes < BLOCK_BYTES_MIN ||
    blockBytes > BLOCK_BYTES_MAX ||
    (blockBytes & (blockBytes - 1)) !== 0
  ) {
    const problem = `${blockBytes} is no power of two from 1 MiB to 256 MiB`
    throw new ImageError(file.name, 'block size', problem)
  }
  if (
    !Number.isSafeInteger(virtualBytes) ||
    virtualBytes <= 0 ||
    virtualBytes > VIRTUAL_BYTES_MAX ||
    virtualBytes % logicalBytes !== 0
  ) {
    const problem = `${virtualBytes} bytes are not whole sectors of ${logicalBytes}, up to 64 TiB`
    throw new ImageError(file.name, 'virtual disk size', problem)
  }
  if (hasParent && options.fixed === true) {
    throw new ImageError(file.name, '', 'a fixed image has no parent')
  }
  return {
    blockBytes,
    leaveAllocated: options.fixed === true,
    virtualBytes,
    diskId: options.diskId ?? guidBytes(options.newGuid()),
    logicalBytes,
    physicalBytes,
    parentLocator: options.parent === undefined ? null : encodeParentLocator(options.parent),
  }
}

function identifier(): Uint8Array {
  const bytes = new Uint8Array(64 * KIB)
  bytes.set(FILE_SIGNATURE, 0)
  for (let at = 0; at < CREATOR.length; at += 1) {
    bytes[FileIdentifier.at.creator + at * 2] = CREATOR.charCodeAt(at)
  }
  return bytes
}

function guidBytes(guid: Guid): Uint8Array {
  const bytes = new Uint8Array(16)
  writeGuid(new DataView(bytes.buffer), 0, parseGuid(guid))
  return bytes
}
