// The VHDX format: layout only. Everything little-endian; "MS-VHDX" is Microsoft's published specification, 2024-04-23.
//
//   0        file identifier              1 MiB and on, MiB aligned, in any order, none over another:
//   64 KiB   header 1                       the log       a ring of entries, named by the current header
//   128 KiB  header 2                       the BAT       8 bytes for each block, named by the region table
//   192 KiB  region table 1                 the metadata  a table and its items, named by the region table
//   256 KiB  region table 2                 blocks        payload and sector bitmaps, named by the BAT

import { bytes, guid, struct, u16, u32, u64 } from '@guestyard/hvdef'
import type { Guid } from '@guestyard/hvdef'

export const KIB = 1024
export const MIB = 1024 * 1024

/** "vhdxfile" at the start of every file. */
export const FILE_SIGNATURE: Uint8Array = ascii('vhdxfile')
export const HEADER_OFFSETS: readonly [number, number] = [64 * KIB, 128 * KIB]
export const REGION_TABLE_OFFSETS: readonly [number, number] = [192 * KIB, 256 * KIB]
export const HEADER_BYTES = 4096
export const REGION_TABLE_BYTES = 64 * KIB
export const METADATA_TABLE_BYTES = 64 * KIB
/** Everything below belongs to headers and region tables. */
export const FIRST_STRUCTURE_OFFSET: number = MIB

export const HEADER_SIGNATURE = 0x6461_6568 //       "head"
export const REGION_SIGNATURE = 0x6967_6572 //       "regi"
export const METADATA_SIGNATURE: Uint8Array = ascii('metadata')
export const LOG_ENTRY_SIGNATURE = 0x6567_6f6c //    "loge"
export const LOG_DATA_DESCRIPTOR = 0x6373_6564 //    "desc"
export const LOG_ZERO_DESCRIPTOR = 0x6f72_657a //    "zero"
export const LOG_DATA_SECTOR = 0x6174_6164 //        "data"

export const REGION_ENTRIES_MAX = 2047
export const METADATA_ENTRIES_MAX = 2047
export const METADATA_ITEM_BYTES_MAX: number = MIB
export const BLOCK_BYTES_MIN: number = MIB
export const BLOCK_BYTES_MAX: number = 256 * MIB
export const VIRTUAL_BYTES_MAX: number = 64 * 1024 * 1024 * MIB
/** Sectors that one sector bitmap block speaks for (2.4): 1 MiB of bits. */
export const CHUNK_SECTORS: number = 8 * MIB

/** What we open at most: a file of 256 TiB, a log of 64 MiB (other tools make 1 MiB), a chain of 64 files. */
export const FILE_MIB_MAX: number = 2 ** 28
export const LOG_BYTES_MAX: number = 64 * MIB
export const CHAIN_LENGTH_MAX = 64

/** The unit of the log, and of every metadata update. */
export const SECTOR = 4096

/** Names of regions (2.2.3.2) and of metadata items (2.6.2). */
export const BAT_REGION: Guid = '2dc27766-f623-4200-9d64-115e9bfd4a08'
export const METADATA_REGION: Guid = '8b7ca206-4790-4b9a-b8fe-575f050f886e'
export const MetadataItem = {
  FILE_PARAMETERS: 'caa16737-fa36-4d43-b3b6-33f0aa44e76b',
  VIRTUAL_DISK_SIZE: '2fa54224-cd1b-4876-b211-5dbed83bf4b8',
  VIRTUAL_DISK_ID: 'beca12ab-b2e6-4523-93ef-c309e000c746',
  LOGICAL_SECTOR_SIZE: '8141bf1d-a96f-4709-ba47-f233a8faab5f',
  PHYSICAL_SECTOR_SIZE: 'cda348c7-445d-4471-9cc9-e9885251c556',
  PARENT_LOCATOR: 'a8d35f2d-b30b-454d-abf7-d3d84834ab0c',
} as const satisfies Record<string, Guid>
/** The only kind of parent locator that the specification has: another VHDX file. */
export const VHDX_LOCATOR: Guid = 'b04aefb7-d19e-4a81-b789-25b8e9445913'

export const REGION_REQUIRED = 0x1
export const MetadataFlag = { USER: 0x1, VIRTUAL_DISK: 0x2, REQUIRED: 0x4 } as const
export const FileParameter = { LEAVE_ALLOCATED: 0x1, HAS_PARENT: 0x2 } as const

/** Payload block states (2.5.1.1); a sector bitmap block is NOT_PRESENT or FULLY_PRESENT. */
export const BlockState = {
  NOT_PRESENT: 0,
  UNDEFINED: 1,
  ZERO: 2,
  UNMAPPED: 3,
  FULLY_PRESENT: 6,
  PARTIALLY_PRESENT: 7,
} as const

/** File identifier (2.2.1), as far as it is used. 520 bytes. */
export const FileIdentifier = struct('VHDX_FILE_IDENTIFIER', 520, {
  signature: bytes(0, 8),
  creator: bytes(8, 512), // UTF-16, for people
})

/** Header (2.2.2), as far as it is used; the checksum is over 4096 bytes. 80 bytes. */
export const Header = struct('VHDX_HEADER', 80, {
  signature: u32(0),
  checksum: u32(4),
  sequenceNumber: u64(8),
  fileWriteGuid: guid(16), // new at the first write after an open
  dataWriteGuid: guid(32), // new at the first change that a guest can see
  logGuid: guid(48), //       zeros: the log is empty
  logVersion: u16(64), //     0
  version: u16(66), //        1
  logLength: u32(68),
  logOffset: u64(72),
})

/** Region table header (2.2.3.1); the checksum is over 64 KiB. 16 bytes. */
export const RegionTableHeader = struct('VHDX_REGION_TABLE_HEADER', 16, {
  signature: u32(0),
  checksum: u32(4),
  entryCount: u32(8),
  reserved: u32(12),
})

/** Region table entry (2.2.3.2). 32 bytes. */
export const RegionTableEntry = struct('VHDX_REGION_TABLE_ENTRY', 32, {
  regionId: guid(0),
  fileOffset: u64(16),
  length: u32(24),
  flags: u32(28), // bit 0: REGION_REQUIRED
})

/** Metadata table header (2.6.1.1). 32 bytes. */
export const MetadataTableHeader = struct('VHDX_METADATA_TABLE_HEADER', 32, {
  signature: bytes(0, 8),
  reserved: u16(8),
  entryCount: u16(10),
  reserved2: bytes(12, 20),
})

/** Metadata table entry (2.6.1.2). 32 bytes. */
export const MetadataTableEntry = struct('VHDX_METADATA_TABLE_ENTRY', 32, {
  itemId: guid(0),
  offset: u32(16), // from the region's start, at least 64 KiB
  length: u32(20),
  flags: u32(24), //  MetadataFlag
  reserved: u32(28),
})

/** File parameters (2.6.2.1). 8 bytes. */
export const FileParameters = struct('VHDX_FILE_PARAMETERS', 8, {
  blockSize: u32(0),
  flags: u32(4), // FileParameter
})

/** Parent locator header (2.6.2.6.1). 20 bytes. */
export const ParentLocatorHeader = struct('VHDX_PARENT_LOCATOR_HEADER', 20, {
  locatorType: guid(0),
  reserved: u16(16),
  keyValueCount: u16(18),
})

/** Parent locator entry (2.6.2.6.2): offsets from the item's start, lengths in bytes. 12 bytes. */
export const ParentLocatorEntry = struct('VHDX_PARENT_LOCATOR_ENTRY', 12, {
  keyOffset: u32(0),
  valueOffset: u32(4),
  keyLength: u16(8),
  valueLength: u16(10),
})

/** Log entry header (2.3.1.1); the checksum is over the whole entry. 64 bytes. */
export const LogEntryHeader = struct('VHDX_LOG_ENTRY_HEADER', 64, {
  signature: u32(0),
  checksum: u32(4),
  entryLength: u32(8), //        bytes, whole sectors
  tail: u32(12), //              where in the log the oldest entry lies that must be replayed
  sequenceNumber: u64(16), //    above 0
  descriptorCount: u32(24),
  reserved: u32(28),
  logGuid: guid(32),
  flushedFileOffset: u64(48), // the file is at least so long on the medium
  lastFileOffset: u64(56), //    every structure ends here or before
})

/** Data descriptor of the log (2.3.1.3): one sector's place, and the twelve bytes its data sector has no room for. 32 bytes. */
export const LogDataDescriptor = struct('VHDX_LOG_DATA_DESCRIPTOR', 32, {
  signature: u32(0),
  trailingBytes: bytes(4, 4),
  leadingBytes: bytes(8, 8),
  fileOffset: u64(16),
  sequenceNumber: u64(24),
})

/** Zero descriptor of the log (2.3.1.2). 32 bytes. */
export const LogZeroDescriptor = struct('VHDX_LOG_ZERO_DESCRIPTOR', 32, {
  signature: u32(0),
  reserved: u32(4),
  zeroLength: u64(8),
  fileOffset: u64(16),
  sequenceNumber: u64(24),
})

/** Data sector of the log (2.3.1.4). 4096 bytes. */
export const LogDataSector = struct('VHDX_LOG_DATA_SECTOR', 4096, {
  signature: u32(0),
  sequenceHigh: u32(4),
  data: bytes(8, 4084),
  sequenceLow: u32(4092),
})

/** A u64 as a number: exact to 2^53, and above it still larger than every limit here. */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 2 ** 32 + view.getUint32(at, true)
}

/** Writes an integer below 2^53 as a u64. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true)
  view.setUint32(at + 4, Math.floor(value / 2 ** 32), true)
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0))
}
