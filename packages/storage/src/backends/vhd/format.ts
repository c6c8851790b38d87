// The VHD format, version 1: layout only. Everything big-endian ("Virtual Hard Disk Image Format Specification", 2006).
//
//   fixed     the disk's bytes | footer
//   dynamic   footer's copy | header (at 512) | BAT | block | block | … | footer
//             block: a bitmap of its sectors, padded to 512 bytes, then its data

import { bytes, struct } from '@guestyard/hvdef'
import type { Field } from '@guestyard/hvdef'

export const SECTOR_BYTES = 512
export const VHD_MAX_BYTES: number = 2040 * 2 ** 30
export const DEFAULT_BLOCK_BYTES: number = 2 * 2 ** 20
/** An absent block's BAT entry. */
export const ABSENT = 0xffff_ffff
export const NO_OFFSET = 0xffff_ffff_ffff_ffffn
export const VERSION_1 = 0x0001_0000
/** Seconds from 1970 to 2000, where the format's time begins. */
const EPOCH_SECONDS = 946_684_800

export const DiskType = { FIXED: 2, DYNAMIC: 3, DIFFERENCING: 4 } as const

export const FOOTER_COOKIE: Uint8Array = ascii('conectix')
export const HEADER_COOKIE: Uint8Array = ascii('cxsparse')
/** "win " and "Wi2k": other tools take the size for exact then, and don't round it to the geometry. */
export const CREATOR_APPLICATION = 0x7769_6e20
export const CREATOR_HOST_OS = 0x5769_326b
export const CREATOR_VERSION = 0x000a_0000
/** Bit 1 is reserved and always set. */
export const FEATURES = 2

/** Hard disk footer. 512 bytes. */
export const Footer = struct('VHD_FOOTER', 512, {
  cookie: bytes(0, 8),
  features: be32(8),
  formatVersion: be32(12),
  dataOffset: be64(16), //     of the header; all ones when fixed
  timeStamp: be32(24), //      seconds since 2000
  creatorApplication: be32(28),
  creatorVersion: be32(32),
  creatorHostOs: be32(36),
  originalSize: be64(40),
  currentSize: be64(48),
  cylinders: be16(56),
  headsAndSectors: be16(58), // u8 heads, u8 sectors
  diskType: be32(60),
  checksum: be32(64),
  uniqueId: bytes(68, 16),
  savedState: bytes(84, 1),
  reserved: bytes(85, 427),
})

/** Dynamic disk header. 1024 bytes. */
export const Header = struct('VHD_DYNAMIC_HEADER', 1024, {
  cookie: bytes(0, 8),
  dataOffset: be64(8), //     all ones
  tableOffset: be64(16), //   of the BAT
  headerVersion: be32(24),
  maxTableEntries: be32(28),
  blockSize: be32(32),
  checksum: be32(36),
  parentUniqueId: bytes(40, 16),
  parentTimeStamp: be32(56),
  reserved: bytes(60, 4),
  parentUnicodeName: bytes(64, 512),
  parentLocators: bytes(576, 192),
  reserved2: bytes(768, 256),
})

/** Ones' complement of the sum of all bytes, the field itself taken as zeros. */
export function checksumOf(structure: Uint8Array, fieldAt: number): number {
  let sum = 0
  for (let at = 0; at < structure.length; at++) {
    if (at < fieldAt || at >= fieldAt + 4) sum += structure[at]!
  }
  return ~sum >>> 0
}

/** Cylinders, heads and sectors, as the specification's appendix has them worked out. */
export function geometryOf(sizeBytes: number): readonly [number, number, number] {
  const total = Math.min(Math.floor(sizeBytes / SECTOR_BYTES), 65_535 * 16 * 255)
  let sectors = 255
  let heads = 16
  let tracks = Math.floor(total / sectors)
  if (total <= 65_535 * 16 * 63) {
    sectors = 17
    tracks = Math.floor(total / sectors)
    heads = Math.max(4, Math.floor((tracks + 1023) / 1024))
    if (tracks >= heads * 1024 || heads > 16) {
      sectors = 31
      heads = 16
      tracks = Math.floor(total / sectors)
    }
    if (tracks >= heads * 1024) {
      sectors = 63
      heads = 16
      tracks = Math.floor(total / sectors)
    }
  }
  return [Math.floor(tracks / heads), heads, sectors]
}

/** The format's time, in its 32 bits. */
export function timeStampOf(unixMs: number): number {
  return Math.min(Math.max(Math.floor(unixMs / 1000) - EPOCH_SECONDS, 0), 0xffff_ffff)
}

/** Bytes of a block's sector bitmap, as padded. */
export function bitmapBytesOf(blockBytes: number): number {
  const bitmapBytes = blockBytes / SECTOR_BYTES / 8
  return Math.ceil(bitmapBytes / SECTOR_BYTES) * SECTOR_BYTES
}

/** Bytes of a BAT, as padded. */
export function tableBytesOf(entries: number): number {
  return Math.ceil((entries * 4) / SECTOR_BYTES) * SECTOR_BYTES
}

function be16(at: number): Field<number> {
  return {
    kind: 'be16',
    at,
    size: 2,
    read: (view, base) => view.getUint16(base + at),
    write: (view, base, value) => view.setUint16(base + at, value),
  }
}

function be32(at: number): Field<number> {
  return {
    kind: 'be32',
    at,
    size: 4,
    read: (view, base) => view.getUint32(base + at),
    write: (view, base, value) => view.setUint32(base + at, value),
  }
}

function be64(at: number): Field<bigint> {
  return {
    kind: 'be64',
    at,
    size: 8,
    read: (view, base) => view.getBigUint64(base + at),
    write: (view, base, value) => view.setBigUint64(base + at, value),
  }
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}
