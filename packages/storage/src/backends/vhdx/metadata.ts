// The metadata region: what disk the file is (MS-VHDX 2.6). Items that we don't know are left alone, unless they are required.

import type { Guid } from '@guestyard/hvdef'

import type { BackingFile } from '../backing-file.ts'
import { ImageError } from '../image.ts'
import { readField } from './file-access.ts'
import {
  BLOCK_BYTES_MAX,
  BLOCK_BYTES_MIN,
  FileParameter,
  FileParameters,
  METADATA_ENTRIES_MAX,
  METADATA_ITEM_BYTES_MAX,
  METADATA_SIGNATURE,
  METADATA_TABLE_BYTES,
  MetadataFlag,
  MetadataItem,
  MetadataTableEntry,
  MetadataTableHeader,
  VIRTUAL_BYTES_MAX,
  readU64,
  writeU64,
} from './format.ts'
import { parseParentLocator, type ParentReference } from './parent-locator.ts'
import type { Region } from './regions.ts'

/** What disk the file is. */
export interface Metadata {
  readonly blockBytes: number
  /** Every block stays allocated: a fixed image. */
  readonly leaveAllocated: boolean
  readonly virtualBytes: number
  readonly diskId: Uint8Array
  readonly logicalBytes: 512 | 4096
  readonly physicalBytes: 512 | 4096
  /** Of a differencing image; null: it stands alone. */
  readonly parent: ParentReference | null
  /** Where the items lie in the file, by their ids: for those who change one. */
  readonly places: ReadonlyMap<Guid, { readonly offset: number; readonly length: number }>
}

const ITEM_NAMES: ReadonlyMap<string, string> = new Map(
  Object.entries(MetadataItem).map(([name, id]) => [id, name.toLowerCase().replaceAll('_', ' ')]),
)

/** Reads table and items. Throws an `ImageError`. */
export function readMetadata(file: BackingFile, region: Region): Metadata {
  const places = readTable(file, region)
  const parameters = item(file, places, MetadataItem.FILE_PARAMETERS, FileParameters.size)
  const { blockSize, flags } = FileParameters.decode(parameters)
  if (blockSize < BLOCK_BYTES_MIN || blockSize > BLOCK_BYTES_MAX || !isPowerOf2(blockSize)) {
    throw new ImageError(file.name, 'file parameters: block size', `${blockSize} is none`)
  }
  const logicalBytes = sectorSize(file, places, MetadataItem.LOGICAL_SECTOR_SIZE)
  const physicalBytes = sectorSize(file, places, MetadataItem.PHYSICAL_SECTOR_SIZE)
  const virtualBytes = readU64(item(file, places, MetadataItem.VIRTUAL_DISK_SIZE, 8), 0)
  if (virtualBytes === 0 || virtualBytes > VIRTUAL_BYTES_MAX || virtualBytes % logicalBytes !== 0) {
    throw new ImageError(file.name, 'virtual disk size', `${virtualBytes} bytes are no size`)
  }
  const hasParent = (flags & FileParameter.HAS_PARENT) !== 0
  return {
    blockBytes: blockSize,
    leaveAllocated: !hasParent && (flags & FileParameter.LEAVE_ALLOCATED) !== 0,
    virtualBytes,
    diskId: new Uint8Array(item(file, places, MetadataItem.VIRTUAL_DISK_ID, 16).buffer),
    logicalBytes,
    physicalBytes,
    parent: hasParent ? readParent(file, places) : null,
    places,
  }
}

/** The values that a new image's metadata are made of. */
export interface NewMetadata {
  readonly blockBytes: number
  readonly leaveAllocated: boolean
  readonly virtualBytes: number
  readonly diskId: Uint8Array
  readonly logicalBytes: 512 | 4096
  readonly physicalBytes: 512 | 4096
  /** A parent locator's item (`encodeParentLocator`), or null. */
  readonly parentLocator: Uint8Array | null
}

/** Table and items, from the region's start. A parent locator comes last, on a page of its own: a merge makes it longer. */
export function encodeMetadata(values: NewMetadata): Uint8Array {
  const items: [Guid, number, Uint8Array][] = [
    [MetadataItem.FILE_PARAMETERS, MetadataFlag.REQUIRED, parametersOf(values)],
    [MetadataItem.VIRTUAL_DISK_SIZE, REQUIRED_OF_DISK, u64Of(values.virtualBytes)],
    [MetadataItem.VIRTUAL_DISK_ID, REQUIRED_OF_DISK, values.diskId],
    [MetadataItem.LOGICAL_SECTOR_SIZE, REQUIRED_OF_DISK, u32Of(values.logicalBytes)],
    [MetadataItem.PHYSICAL_SECTOR_SIZE, REQUIRED_OF_DISK, u32Of(values.physicalBytes)],
  ]
  if (values.parentLocator !== null) {
    items.push([MetadataItem.PARENT_LOCATOR, MetadataFlag.REQUIRED, values.parentLocator])
  }
  const locatorAt = METADATA_TABLE_BYTES + 4096
  const bytes = new Uint8Array(locatorAt + (values.parentLocator?.length ?? 0))
  const view = new DataView(bytes.buffer)
  MetadataTableHeader.encode(view, 0, {
    signature: METADATA_SIGNATURE,
    entryCount: items.length,
  })
  let end = METADATA_TABLE_BYTES
  for (const [index, [itemId, flags, data]] of items.entries()) {
    const offset = itemId === MetadataItem.PARENT_LOCATOR ? locatorAt : end
    MetadataTableEntry.encode(view, entryAt(index), { itemId, offset, length: data.length, flags })
    bytes.set(data, offset)
    end += data.length
  }
  return bytes
}

const REQUIRED_OF_DISK = MetadataFlag.VIRTUAL_DISK | MetadataFlag.REQUIRED

type Places = Map<Guid, { readonly offset: number; readonly length: number }>

function readTable(file: BackingFile, region: Region): Places {
  const bytes = readField(file, 'metadata table', region.offset, METADATA_TABLE_BYTES)
  const view = new DataView(bytes.buffer)
  const header = MetadataTableHeader.decode(view)
  if (!METADATA_SIGNATURE.every((byte, at) => header.signature[at] === byte)) {
    throw new ImageError(file.name, 'metadata table', 'it does not say "metadata"')
  }
  if (header.entryCount > METADATA_ENTRIES_MAX) {
    throw new ImageError(file.name, 'metadata table', `${header.entryCount} entries are too many`)
  }
  const places: Places = new Map()
  for (let index = 0; index < header.entryCount; index += 1) {
    const entry = MetadataTableEntry.decode(view, entryAt(index))
    const name = ITEM_NAMES.get(entry.itemId)
    const user = (entry.flags & MetadataFlag.USER) !== 0
    if (name === undefined || user) {
      if ((entry.flags & MetadataFlag.REQUIRED) === 0) continue
      const field = `metadata item ${entry.itemId}`
      throw new ImageError(file.name, field, 'it is required, and nobody here knows it')
    }
    const { offset, length } = entry
    if (places.has(entry.itemId)) throw new ImageError(file.name, name, 'it is there twice')
    if (
      length === 0 ||
      length > METADATA_ITEM_BYTES_MAX ||
      offset < METADATA_TABLE_BYTES ||
      offset + length > region.length
    ) {
      throw new ImageError(file.name, name, `${length} bytes at ${offset} are not in the region`)
    }
    places.set(entry.itemId, { offset: region.offset + offset, length })
  }
  return places
}

function entryAt(index: number): number {
  return MetadataTableHeader.size + index * MetadataTableEntry.size
}

/** An item's bytes, which must be so many. */
function item(file: BackingFile, places: Places, id: Guid, length: number): DataView<ArrayBuffer> {
  const name = ITEM_NAMES.get(id) ?? id
  const place = places.get(id)
  if (place === undefined) throw new ImageError(file.name, name, 'the metadata have none')
  if (place.length !== length) {
    throw new ImageError(file.name, name, `${place.length} bytes where ${length} belong`)
  }
  const bytes = new Uint8Array(readField(file, name, place.offset, length))
  return new DataView(bytes.buffer)
}

function sectorSize(file: BackingFile, places: Places, id: Guid): 512 | 4096 {
  const size = item(file, places, id, 4).getUint32(0, true)
  if (size !== 512 && size !== 4096) {
    throw new ImageError(file.name, ITEM_NAMES.get(id) ?? id, `${size} is neither 512 nor 4096`)
  }
  return size
}

function readParent(file: BackingFile, places: Places): ParentReference {
  const place = places.get(MetadataItem.PARENT_LOCATOR)
  if (place === undefined) {
    throw new ImageError(file.name, 'parent locator', 'the image has a parent, and no locator')
  }
  const bytes = readField(file, 'parent locator', place.offset, place.length)
  return parseParentLocator(file, bytes)
}

function parametersOf(values: NewMetadata): Uint8Array {
  const parent = values.parentLocator === null ? 0 : FileParameter.HAS_PARENT
  const fixed = values.leaveAllocated ? FileParameter.LEAVE_ALLOCATED : 0
  return FileParameters.pack({ blockSize: values.blockBytes, flags: parent | fixed })
}

function u64Of(value: number): Uint8Array {
  const bytes = new Uint8Array(8)
  writeU64(new DataView(bytes.buffer), 0, value)
  return bytes
}

function u32Of(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

function isPowerOf2(value: number): boolean {
  return (value & (value - 1)) === 0
}
