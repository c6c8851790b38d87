// The data of one request, in the pages that its owner chose: a word at a time for PIO, as a table of descriptors for the bus master.

import { PAGE_OFFSET_MASK, PAGE_SHIFT, PAGE_SIZE } from '@guestyard/hvdef'

import { PRD_BYTES, PRD_END_OF_TABLE } from '../../ide/registers.ts'

/** RAM as the driver sees it. */
export interface GuestRam {
  readonly u8: Uint8Array
  readonly view: DataView
}

/** Pages of a request, as `StorRequest` has them. */
export interface DataPages {
  readonly pfns: Uint32Array
  readonly offsetBytes: number
  readonly lengthBytes: number
}

/** What one descriptor can say, and may not cross. */
const BOUNDARY = 0x1_0000

/** Address of byte `at` of the data. */
function addressOf(data: DataPages, at: number): number {
  const place = data.offsetBytes + at
  return data.pfns[place >>> PAGE_SHIFT]! * PAGE_SIZE + (place & PAGE_OFFSET_MASK)
}

/** Bytes of the data from `at` on, at most four, as a number; those past the end are 0. */
export function wordAt(ram: GuestRam, data: DataPages, at: number): number {
  let word = 0
  const bytes = Math.min(4, data.lengthBytes - at)
  for (let i = 0; i < bytes; i++) word |= ram.u8[addressOf(data, at + i)]! << (i * 8)
  return word >>> 0
}

/** Puts at most `bytes` bytes of a number into the data; those past the end are dropped. */
export function putWord(
  ram: GuestRam,
  data: DataPages,
  at: number,
  word: number,
  bytes: number,
): void {
  const count = Math.min(bytes, data.lengthBytes - at)
  for (let i = 0; i < count; i++) ram.u8[addressOf(data, at + i)] = word >>> (i * 8)
}

/**
 * Writes the descriptors of the data at `tableGpa`: neighbours in one, none across 64 KiB. False when there are more than `max`, or a
 * piece is of an odd length or at an odd place, which descriptors can't say.
 */
export function writeTable(ram: GuestRam, tableGpa: number, max: number, data: DataPages): boolean {
  let count = 0
  let at = 0
  while (at < data.lengthBytes) {
    const address = addressOf(data, at)
    let bytes = toPageEnd(data, at)
    const room = BOUNDARY - (address % BOUNDARY)
    while (at + bytes < data.lengthBytes && bytes < room) {
      if (addressOf(data, at + bytes) !== address + bytes) break
      bytes += toPageEnd(data, at + bytes)
    }
    if (count === max || (address & 1) !== 0 || (bytes & 1) !== 0) return false
    at += bytes
    const entry = tableGpa + count * PRD_BYTES
    const end = at === data.lengthBytes ? PRD_END_OF_TABLE : 0
    ram.view.setUint32(entry, address, true)
    ram.view.setUint32(entry + 4, ((bytes & 0xffff) | end) >>> 0, true)
    count++
  }
  return true
}

/** Bytes of the data up to its page's end. Pages are aligned to 64 KiB's parts, so that no descriptor grows across. */
function toPageEnd(data: DataPages, at: number): number {
  const place = data.offsetBytes + at
  return Math.min(data.lengthBytes - at, PAGE_SIZE - (place & PAGE_OFFSET_MASK))
}
