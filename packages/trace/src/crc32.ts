// CRC-32 (ISO-HDLC: reflected, polynomial 0x04c11db7), as gzip and PNG use it. Every change within 32 neighbouring bits shows. Four
// bytes a step: a byte at a time each look-up would wait for the one before.

const REFLECTED = 0xed_b8_83_20

/** Four tables of 256: row n is what a byte does n bytes before the end of a step. */
const TABLE = makeTable()

/** Checksum of bytes, 0 to 2^32 - 1. */
export function crc32(bytes: Uint8Array, from: number, to: number): number {
  let crc = -1
  let at = from
  for (; at + 4 <= to; at += 4) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
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
