// HOT
// The bytes of a command descriptor block. SCSI is big-endian.

/** Bytes of a CDB by the group code, the opcode's upper three bits (SPC-4, section 4.3). Groups 3, 6 and 7 hold nothing served here. */
const BYTES_BY_GROUP = Uint8Array.of(6, 10, 10, 1, 16, 12, 1, 1)
const NACA = 0x04

/**
 * True when the CDB has the bytes that its opcode's group has, and asks for no auto contingent allegiance, which this target doesn't
 * know (bit NACA of the control byte, the last).
 */
export function isWellFormed(cdb: Uint8Array, cdbLength: number): boolean {
  const bytes = BYTES_BY_GROUP[cdb[0]! >>> 5]!
  return cdbLength >= bytes && (bytes === 1 || (cdb[bytes - 1]! & NACA) === 0)
}

export function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!
}

export function u24(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!
}

export function u32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | u24(bytes, at + 1)) >>> 0
}

/** Exact below 2^53; above, near enough to be beyond the end of every disk. */
export function u64(bytes: Uint8Array, at: number): number {
  return u32(bytes, at) * 0x1_0000_0000 + u32(bytes, at + 4)
}

export function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8
  bytes[at + 1] = value
}

export function putU32(bytes: Uint8Array, at: number, value: number): void {
  putU16(bytes, at, value >>> 16)
  putU16(bytes, at + 2, value & 0xffff)
}

/** `value` is an integer below 2^53. */
export function putU64(bytes: Uint8Array, at: number, value: number): void {
  putU32(bytes, at, Math.floor(value / 0x1_0000_0000))
  putU32(bytes, at + 4, value >>> 0)
}

/** Text in ASCII, filled up with spaces. Characters that SCSI has not become question marks. */
export function putText(bytes: Uint8Array, at: number, lengthBytes: number, text: string): void {
  for (let index = 0; index < lengthBytes; index++) {
    const code = index < text.length ? text.charCodeAt(index) : 0x20
    bytes[at + index] = code >= 0x20 && code < 0x7f ? code : 0x3f
  }
}
