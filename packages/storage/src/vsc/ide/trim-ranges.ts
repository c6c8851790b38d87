// The parameter list of UNMAP (SBC-4, 5.44) as one block of ranges of TRIM (ATA8-ACS, DATA SET MANAGEMENT).

import { ATA_SECTOR_BYTES } from '../../ide/registers.ts'
import { wordAt, type DataPages, type GuestRam } from './guest-data.ts'

const LIST_HEADER_BYTES = 8
const DESCRIPTOR_BYTES = 16
const RANGE_BYTES = 8
const RANGE_BLOCKS_MAX = 0xffff
const RANGES_MAX: number = ATA_SECTOR_BYTES / RANGE_BYTES

/** Fills the block at `gpa` from a list. How many ranges there are; -1: it is cut short, leads past the disk, or says more than fits. */
export function trimRanges(
  ram: GuestRam,
  list: DataPages,
  gpa: number,
  diskBlocks: number,
): number {
  ram.u8.fill(0, gpa, gpa + ATA_SECTOR_BYTES)
  let ranges = 0
  for (let at = LIST_HEADER_BYTES; at < list.lengthBytes; at += DESCRIPTOR_BYTES) {
    if (at + DESCRIPTOR_BYTES > list.lengthBytes) return -1
    const block = bigEndian(ram, list, at) * 2 ** 32 + bigEndian(ram, list, at + 4)
    const count = bigEndian(ram, list, at + 8)
    if (count > diskBlocks - block) return -1
    ranges = addRange(ram, gpa, ranges, block, count)
    if (ranges < 0) return -1
  }
  return ranges
}

/** Likewise from one run of blocks. */
export function trimRange(ram: GuestRam, gpa: number, block: number, count: number): number {
  ram.u8.fill(0, gpa, gpa + ATA_SECTOR_BYTES)
  return addRange(ram, gpa, 0, block, count)
}

/** Ranges after one more run, which may take several; -1: no room. */
function addRange(
  ram: GuestRam,
  gpa: number,
  before: number,
  block: number,
  count: number,
): number {
  let ranges = before
  for (let done = 0; done < count; done += RANGE_BLOCKS_MAX) {
    if (ranges === RANGES_MAX) return -1
    const entry = gpa + ranges * RANGE_BYTES
    const first = block + done
    ram.view.setUint32(entry, first % 2 ** 32, true)
    ram.view.setUint16(entry + 4, Math.floor(first / 2 ** 32), true)
    ram.view.setUint16(entry + 6, Math.min(count - done, RANGE_BLOCKS_MAX), true)
    ranges++
  }
  return ranges
}

function bigEndian(ram: GuestRam, list: DataPages, at: number): number {
  const word = wordAt(ram, list, at)
  const swapped = (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)
  return swapped >>> 0
}
