// CRC-32C (Castagnoli: reflected, polynomial 0x1edc6f41), which VHDX has over headers, region tables and log entries. Four bytes a
// step: a byte at a time each look-up would wait for the one before.

const REFLECTED = 0x82_f6_3b_78

/** Four tables of 256: row n is what a byte does n bytes before the end of a step. */
const TABLE = makeTable()

/**
 * Checksum of `bytes[from..to]`, 0 to 2^32 - 1, as if the four bytes at `hole` were zeros (where the sum itself lies); a negative
 * `hole` leaves nothing out. `hole` is a multiple of 4 from `from`.
 */
export function crc32c(bytes: Uint8Array, from: number, to: number, hole: number): number {
  let crc = -1
  let at = from
  for (; at + 4 <= to; at += 4) {
    if (at !== hole) {
      crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    }
    crc =
      TABLE[768 + (crc & 0xff)]! ^
      TABLE[512 + ((crc >>> 8) & 0xff)]! ^
      TABLE[256 + ((crc >>> 16) & 0xff)]! ^
      TABLE[crc >>> 24]!
  }
  for (; at < to; at += 1) crc = TABLE[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

function makeTable(): Int32Array {
  const table = new Int32Array(4 * 256)
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : REFLECTED)
    table[byte] = crc
  }
  for (let at = 256; at < table.length; at += 1) {
    const before = table[at - 256]!
    table[at] = table[before & 0xff]! ^ (before >>> 8)
  }
  return table
}
