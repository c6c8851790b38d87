// HOT (readBlocks, writeBlocks)
// SCSI commands as this driver sends them: each fills the CDB and the direction of a request, whose unit and data the caller sets.
// Sources: SBC-4, sections 5.11 to 5.50; SPC-4, section 6.

import { CDB_BYTES, SrbDirection } from '../protocol.ts'
import type { StorRequest } from './stor-request.ts'

const Opcode = {
  TEST_UNIT_READY: 0x00,
  INQUIRY: 0x12,
  MODE_SENSE_6: 0x1a,
  READ_CAPACITY_10: 0x25,
  READ_10: 0x28,
  WRITE_10: 0x2a,
  SYNCHRONIZE_CACHE_10: 0x35,
  UNMAP: 0x42,
  READ_16: 0x88,
  WRITE_16: 0x8a,
  WRITE_SAME_16: 0x93,
  SERVICE_ACTION_IN_16: 0x9e,
  REPORT_LUNS: 0xa0,
} as const

const READ_CAPACITY_16 = 0x10
const FUA = 0x8
const WRITE_SAME_NO_DATA_OUT = 0x1
const BLOCK_10_MAX = 0xffff_ffff
const COUNT_10_MAX = 0xffff
const HIGH = 0x1_0000_0000

/** Bytes of an UNMAP parameter list with one descriptor. */
export const UNMAP_LIST_BYTES = 24

/** `blockCount` blocks from `block` on, into the request's data. */
export function readBlocks(request: StorRequest, block: number, blockCount: number): void {
  transfer(request, Opcode.READ_10, Opcode.READ_16, 0, block, blockCount)
  request.direction = SrbDirection.READ
}

/** The request's data, to `blockCount` blocks from `block` on; with `durable`, past any cache. */
export function writeBlocks(
  request: StorRequest,
  block: number,
  blockCount: number,
  durable: boolean,
): void {
  transfer(request, Opcode.WRITE_10, Opcode.WRITE_16, durable ? FUA : 0, block, blockCount)
  request.direction = SrbDirection.WRITE
}

/** What was written before is durable when this is done. */
export function synchronizeCache(request: StorRequest): void {
  begin(request, Opcode.SYNCHRONIZE_CACHE_10, 10, SrbDirection.NONE)
  request.lengthBytes = 0
}

/** Gives up the blocks that the list in the request's data names (`encodeUnmapList`). */
export function unmapBlocks(request: StorRequest): void {
  begin(request, Opcode.UNMAP, 10, SrbDirection.WRITE)
  put(request.cdb, 7, request.lengthBytes, 2)
}

/** The parameter list of UNMAP for one run of blocks, 24 bytes at `at`. */
export function encodeUnmapList(
  view: DataView,
  at: number,
  block: number,
  blockCount: number,
): void {
  view.setUint16(at, UNMAP_LIST_BYTES - 2)
  view.setUint16(at + 2, 16)
  view.setUint32(at + 4, 0)
  view.setUint32(at + 8, Math.floor(block / HIGH))
  view.setUint32(at + 12, block % HIGH)
  view.setUint32(at + 16, blockCount)
  view.setUint32(at + 20, 0)
}

/** Blocks of zeros, without data. */
export function writeZeroes(request: StorRequest, block: number, blockCount: number): void {
  begin(request, Opcode.WRITE_SAME_16, 16, SrbDirection.NONE)
  request.cdb[1] = WRITE_SAME_NO_DATA_OUT
  putBlock(request.cdb, 2, block)
  put(request.cdb, 10, blockCount, 4)
  request.lengthBytes = 0
}

export function testUnitReady(request: StorRequest): void {
  begin(request, Opcode.TEST_UNIT_READY, 6, SrbDirection.NONE)
  request.lengthBytes = 0
}

/** `page`: a page of vital product data, or -1 for the standard data. */
export function inquiry(request: StorRequest, page: number): void {
  begin(request, Opcode.INQUIRY, 6, SrbDirection.READ)
  request.cdb[1] = page < 0 ? 0 : 1
  request.cdb[2] = page < 0 ? 0 : page
  put(request.cdb, 3, request.lengthBytes, 2)
}

export function reportLuns(request: StorRequest): void {
  begin(request, Opcode.REPORT_LUNS, 12, SrbDirection.READ)
  put(request.cdb, 6, request.lengthBytes, 4)
}

/** For drives whose medium can't need more: MMC knows no other. */
export function readCapacity10(request: StorRequest): void {
  begin(request, Opcode.READ_CAPACITY_10, 10, SrbDirection.READ)
}

export function readCapacity16(request: StorRequest): void {
  begin(request, Opcode.SERVICE_ACTION_IN_16, 16, SrbDirection.READ)
  request.cdb[1] = READ_CAPACITY_16
  put(request.cdb, 10, request.lengthBytes, 4)
}

/** All mode pages; the length is at most 255. */
export function modeSense6(request: StorRequest, page: number): void {
  begin(request, Opcode.MODE_SENSE_6, 6, SrbDirection.READ)
  request.cdb[2] = page
  request.cdb[4] = request.lengthBytes
}

function transfer(
  request: StorRequest,
  short: number,
  long: number,
  flags: number,
  block: number,
  blockCount: number,
): void {
  const { cdb } = request
  const isShort = block <= BLOCK_10_MAX && blockCount <= COUNT_10_MAX
  cdb[0] = isShort ? short : long
  cdb[1] = flags
  if (isShort) {
    put(cdb, 2, block, 4)
    cdb[6] = 0
    put(cdb, 7, blockCount, 2)
    cdb[9] = 0
    request.cdbLength = 10
  } else {
    putBlock(cdb, 2, block)
    put(cdb, 10, blockCount, 4)
    cdb[14] = 0
    cdb[15] = 0
    request.cdbLength = 16
  }
}

function begin(
  request: StorRequest,
  opcode: number,
  cdbLength: number,
  direction: SrbDirection,
): void {
  for (let at = 0; at < CDB_BYTES; at += 1) request.cdb[at] = 0
  request.cdb[0] = opcode
  request.cdbLength = cdbLength
  request.direction = direction
}

/** A number of at most 32 bits, big-endian. */
function put(cdb: Uint8Array, at: number, value: number, bytes: number): void {
  for (let index = 0; index < bytes; index += 1) {
    cdb[at + index] = value >>> ((bytes - 1 - index) << 3)
  }
}

function putBlock(cdb: Uint8Array, at: number, block: number): void {
  put(cdb, at, Math.floor(block / HIGH), 4)
  put(cdb, at + 4, block % HIGH, 4)
}
