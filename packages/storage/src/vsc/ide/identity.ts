// What IDENTIFY DEVICE says, as a driver reads it. A drive may say anything: short or wild answers make it a disk of less.

import type { StorUnit } from '../lun-scan.ts'
import { ATA_SECTOR_BYTES } from '../../ide/registers.ts'

export const IDENTITY_BYTES = 512
/** One block of ranges: 64 of 65535 blocks. */
const TRIM_BLOCKS_MAX: number = 64 * 65535
const SIZE_EXPONENT_MAX = 3

/** A disk, and what its driver has to know besides. */
export interface AtaIdentity {
  readonly unit: StorUnit
  /** Sectors of one block of READ MULTIPLE; 0: it can't. */
  readonly multipleMax: number
  readonly hasDma: boolean
}

/** Null: nothing that addresses blocks by 48 bits. */
export function ataIdentity(page: Uint8Array, path: number, target: number): AtaIdentity | null {
  const view = new DataView(page.buffer, page.byteOffset, IDENTITY_BYTES)
  const word = (index: number): number => view.getUint16(index * 2, true)
  if ((word(83) & 0xc400) !== 0x4400) return null
  const blockCount = view.getUint32(200, true) + view.getUint16(204, true) * 2 ** 32
  const exponent = (word(106) & 0xe000) === 0x6000 ? word(106) & 0xf : 0
  const canUnmap = (word(169) & 1) !== 0
  return {
    unit: {
      path,
      target,
      lun: 0,
      type: 0,
      removable: false,
      vendor: 'ATA',
      product: text(page, 27, 20),
      name: text(page, 10, 10),
      blockCount,
      mediumChanges: 0,
      blockBytes: ATA_SECTOR_BYTES,
      physicalBlockBytes: ATA_SECTOR_BYTES << Math.min(exponent, SIZE_EXPONENT_MAX),
      // ATA has no word for it: writes are aborted.
      readOnly: false,
      writeCache: (word(85) & 0x20) !== 0,
      canUnmap,
      unmapReadsZeros: canUnmap && (word(69) & 0x20) !== 0,
      maxUnmapBlocks: canUnmap ? TRIM_BLOCKS_MAX : 0,
      maxWriteZeroesBlocks: canUnmap ? TRIM_BLOCKS_MAX : 0,
    },
    multipleMax: word(47) & 0xff,
    hasDma: (word(49) & 0x100) !== 0,
  }
}

/** Strings have the bytes of each word swapped, and blanks behind. */
export function text(page: Uint8Array, word: number, count: number): string {
  let result = ''
  for (let at = word * 2; at < (word + count) * 2; at += 2) {
    result += String.fromCharCode(page[at + 1]!, page[at]!)
  }
  return result.replaceAll(/[^\x20-\x7e]/g, '').trim()
}
